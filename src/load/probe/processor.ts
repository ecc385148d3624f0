// The share of processor time in use, between two samples: of the control group's quota where there
// is one, of the machine otherwise. A group that was throttled in each period counts as full,
// however little it was given.
import type { Clock } from '../../core/index.ts';
import type { Cgroup, CgroupCpu } from './cgroup.ts';

/** Times of one processor, as `os.cpus()` gives them, milliseconds. */
export interface ProcessorTimes {
  readonly user: number;
  readonly nice: number;
  readonly sys: number;
  readonly idle: number;
  readonly irq: number;
}

export interface ProcessorComponents {
  readonly clock: Clock;
  readonly cgroup: Cgroup;
  readonly processors: () => readonly { readonly times: ProcessorTimes }[];
}

interface Reading {
  readonly atMs: number;
  readonly group: CgroupCpu | undefined;
  readonly busyMs: number;
  readonly totalMs: number;
}

export class Processor {
  readonly #components: ProcessorComponents;
  #previous: Reading;
  #share = 0;

  constructor(components: ProcessorComponents) {
    this.#components = components;
    this.#previous = this.#read();
  }

  /** 0 to 1. Two samples at one time give the same share. */
  sample(): number {
    const now = this.#read();
    const share = shareBetween(this.#previous, now);
    if (share === undefined) return this.#share;
    this.#previous = now;
    this.#share = Math.min(1, Math.max(0, share));
    return this.#share;
  }

  #read(): Reading {
    const { clock, cgroup, processors } = this.#components;
    let busyMs = 0;
    let totalMs = 0;
    for (const { times } of processors()) {
      const busy = times.user + times.nice + times.sys + times.irq;
      busyMs += busy;
      totalMs += busy + times.idle;
    }
    // One right after the other: the group's time is compared with the clock's.
    const group = cgroup.cpu();
    return { atMs: clock.now(), group, busyMs, totalMs };
  }
}

/** Undefined when no time has passed, or a counter went backwards. */
function shareBetween(before: Reading, after: Reading): number | undefined {
  const elapsedMs = after.atMs - before.atMs;
  if (!(elapsedMs > 0)) return undefined;
  const { group } = after;
  if (group?.quota === undefined || before.group === undefined) {
    const totalMs = after.totalMs - before.totalMs;
    return totalMs > 0 ? (after.busyMs - before.busyMs) / totalMs : undefined;
  }
  const usedMs = group.usedMs - before.group.usedMs;
  if (usedMs < 0) return undefined;
  const periods = group.periods - before.group.periods;
  const throttled = group.throttledPeriods - before.group.throttledPeriods;
  const throttledShare = periods > 0 ? throttled / periods : 0;
  return Math.max(usedMs / (elapsedMs * group.quota), throttledShare);
}
