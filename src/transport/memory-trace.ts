// What the simulated network did: counts, and a hash of every step, by which two runs are compared.

/** Packets of all links, by what became of them. */
export interface MemoryCounters {
  sent: number;
  retransmitted: number;
  duplicated: number;
  reordered: number;
  /** Lost by chance, to a partition or to a dead node. */
  lost: number;
  delivered: number;
}

export type MemoryStep = keyof MemoryCounters | 'closed' | 'dial' | 'fault';

/** One step: when it was, between whom, and the packet's number (or 0) and bytes. */
export interface MemoryEvent {
  readonly atMs: number;
  readonly from: string;
  readonly to: string;
  readonly step: MemoryStep;
  readonly number: number;
  readonly bytes: number;
}

const FNV_PRIME = 0x01000193;
const FIRST_SEED = 0x811c9dc5;
const SECOND_SEED = 0x9747b28c;

export class MemoryTrace {
  readonly counters: MemoryCounters = {
    sent: 0,
    retransmitted: 0,
    duplicated: 0,
    reordered: 0,
    lost: 0,
    delivered: 0,
  };
  readonly #onEvent: ((event: MemoryEvent) => void) | undefined;
  #first = FIRST_SEED;
  #second = SECOND_SEED;

  constructor(onEvent?: (event: MemoryEvent) => void) {
    this.#onEvent = onEvent;
  }

  /** 16 hex digits over every step so far, in order (two FNV-1a of 32 bits). */
  get hash(): string {
    return [this.#first, this.#second].map((half) => half.toString(16).padStart(8, '0')).join('');
  }

  note(event: MemoryEvent): void {
    const { atMs, from, to, step, number, bytes } = event;
    if (step in this.counters) this.counters[step as keyof MemoryCounters]++;
    const line = `${atMs} ${from} ${to} ${step} ${number} ${bytes}\n`;
    for (let i = 0; i < line.length; i++) {
      const unit = line.charCodeAt(i);
      this.#first = Math.imul(this.#first ^ unit, FNV_PRIME) >>> 0;
      this.#second = Math.imul(this.#second ^ unit, FNV_PRIME) >>> 0;
    }
    this.#onEvent?.(event);
  }
}
