// What measures a node. `MachineProbe` is the real one; `StaticProbe` says what it was told.
import type { NodeLoad } from '../node-load.ts';

/** What a probe adds to who and when. */
export type Measurement = Omit<NodeLoad, 'node' | 'incarnation' | 'timestampMs'>;

export interface Probe {
  /** One measurement, over the time since the previous one where it is a rate. */
  sample(): Measurement;
  stop(): void;
}

const IDLE: Measurement = {
  cpu: 0,
  memoryUsed: 0,
  memoryMax: 0,
  heapUsed: 0,
  heapMax: 0,
  eventLoopDelayMs: 0,
  eventLoopUtilization: 0,
  inFlight: 0,
  queued: 0,
};

/** Answers with what it was last told; for tests and for nodes that are described by hand. */
export class StaticProbe implements Probe {
  #measurement: Measurement;

  constructor(measurement: Partial<Measurement> = {}) {
    this.#measurement = { ...IDLE, ...measurement };
  }

  set(measurement: Partial<Measurement>): void {
    this.#measurement = { ...this.#measurement, ...measurement };
  }

  sample(): Measurement {
    return this.#measurement;
  }

  stop(): void {}
}
