// Measures this machine and this process for real. Processor, memory and event loop are read at
// each sample; GPUs and the engine, which take a process or a request to ask, in the background:
// a sample has what they last said, and nothing once that is too old.
import { readFileSync } from 'node:fs';
import * as os from 'node:os';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { Cgroup } from './cgroup.ts';
import { Processor } from './processor.ts';
import type { Clock, Timer } from '../../core/index.ts';
import type { EngineLoad, GpuLoad } from '../node-load.ts';
import type { ReadText } from './cgroup.ts';
import type { Measurement, Probe } from './probe.ts';

export interface MachineProbeComponents {
  readonly clock: Clock;
  /** Requests that this node is working on, and those that wait. */
  readonly requests: () => { readonly inFlight: number; readonly queued: number };
  /** Asks the GPUs; absent where there are none. */
  readonly gpus?: () => Promise<readonly GpuLoad[]>;
  /** Asks the engine; absent where there is none. */
  readonly engine?: () => Promise<EngineLoad>;
  readonly readText?: ReadText;
}

export interface MachineProbeOptions {
  /** How often GPUs are asked: a process is started each time. @default 5000 */
  readonly gpuIntervalMs?: number;
  /** @default 1000 */
  readonly engineIntervalMs?: number;
}

/** Between looks at the event loop. Each wakes the process: every 10 ms costs 0.5 % of a core. */
const EVENT_LOOP_RESOLUTION_MS = 100;
/** Answers of the background count for this many of their intervals. */
const BACKGROUND_INTERVALS = 3;

export class MachineProbe implements Probe {
  readonly #components: MachineProbeComponents;
  readonly #cgroup: Cgroup;
  readonly #processor: Processor;
  readonly #delays: ReturnType<typeof monitorEventLoopDelay>;
  readonly #gpus: Background<readonly GpuLoad[]> | undefined;
  readonly #engine: Background<EngineLoad> | undefined;
  #loop = performance.eventLoopUtilization();

  constructor(components: MachineProbeComponents, options: MachineProbeOptions = {}) {
    const { clock, gpus, engine, readText = readTextFile } = components;
    const { gpuIntervalMs = 5_000, engineIntervalMs = 1_000 } = options;
    this.#components = components;
    this.#cgroup = new Cgroup(readText);
    this.#processor = new Processor({ clock, cgroup: this.#cgroup, processors: os.cpus });
    this.#delays = monitorEventLoopDelay({ resolution: EVENT_LOOP_RESOLUTION_MS });
    this.#delays.enable();
    this.#gpus = gpus && new Background(clock, gpus, gpuIntervalMs);
    this.#engine = engine && new Background(clock, engine, engineIntervalMs);
  }

  sample(): Measurement {
    const memory = this.#cgroup.memory() ?? this.#machineMemory();
    const { used_heap_size: heapUsed, heap_size_limit: heapMax } = getHeapStatistics();
    const gpus = this.#gpus?.latest();
    const engine = this.#engine?.latest();
    return {
      cpu: this.#processor.sample(),
      memoryUsed: Math.min(memory.used, memory.max),
      memoryMax: memory.max,
      heapUsed: Math.min(heapUsed, heapMax),
      heapMax,
      eventLoopDelayMs: this.#eventLoopDelayMs(),
      eventLoopUtilization: this.#eventLoopUtilization(),
      ...this.#components.requests(),
      ...(gpus !== undefined && gpus.length > 0 && { gpus }),
      ...(engine !== undefined && { engine }),
    };
  }

  stop(): void {
    this.#delays.disable();
    this.#gpus?.stop();
    this.#engine?.stop();
  }

  #machineMemory(): { used: number; max: number } {
    const max = os.totalmem();
    return { used: max - (availableMemory(this.#components.readText) ?? os.freemem()), max };
  }

  /** The 99th percentile since the previous sample, without the timer's own period. */
  #eventLoopDelayMs(): number {
    const delayMs = this.#delays.percentile(99) / 1e6 - EVENT_LOOP_RESOLUTION_MS;
    this.#delays.reset();
    return Number.isFinite(delayMs) ? Math.max(0, delayMs) : 0;
  }

  #eventLoopUtilization(): number {
    const current = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(current, this.#loop);
    this.#loop = current;
    return Number.isFinite(utilization) ? Math.min(1, Math.max(0, utilization)) : 0;
  }
}

/** What Linux can give without swapping: page cache is not in use. */
function availableMemory(readText: ReadText = readTextFile): number | undefined {
  const match = /^MemAvailable:\s+(\d+) kB$/m.exec(readText('/proc/meminfo') ?? '');
  return match === null ? undefined : Number(match[1]) * 1024;
}

function readTextFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Asks again and again, one question at a time. A question that fails leaves the last answer. */
class Background<T> {
  readonly #clock: Clock;
  readonly #ask: () => Promise<T>;
  readonly #maxAgeMs: number;
  readonly #timer: Timer;
  #answer: T | undefined;
  #answeredAtMs = Number.NEGATIVE_INFINITY;
  #asking = false;

  constructor(clock: Clock, ask: () => Promise<T>, intervalMs: number) {
    this.#clock = clock;
    this.#ask = ask;
    this.#maxAgeMs = BACKGROUND_INTERVALS * intervalMs;
    this.#timer = clock.repeat(intervalMs, () => this.#tick());
    this.#tick();
  }

  latest(): T | undefined {
    return this.#clock.now() - this.#answeredAtMs <= this.#maxAgeMs ? this.#answer : undefined;
  }

  stop(): void {
    this.#timer.cancel();
  }

  #tick(): void {
    if (this.#asking) return;
    this.#asking = true;
    this.#ask()
      .then((answer) => {
        this.#answer = answer;
        this.#answeredAtMs = this.#clock.now();
      })
      .catch(() => undefined)
      .finally(() => {
        this.#asking = false;
      });
  }
}
