// One life of a node of the simulated network: what it does happens now, after a freeze, or never.
import type { Clock, Timer } from '../core/index.ts';

/** Everything that happens to a node goes through `run`. */
export class MemoryNode {
  readonly name: string;
  /** Time as this node sees it: its timers wait while it is frozen and die with it. */
  readonly clock: Clock;
  #state: 'live' | 'frozen' | 'dead' = 'live';
  /** What happened to it while it was frozen, in order. */
  #backlog: (() => void)[] = [];
  /** True when its machine outlived it and answers for it: what comes late is reset. */
  answersDead = false;

  constructor(name: string, clock: Clock) {
    this.name = name;
    this.clock = {
      now: () => clock.now(),
      wallTime: () => clock.wallTime(),
      schedule: (delayMs, callback) => this.#schedule(clock, delayMs, callback),
      repeat: (intervalMs, callback) => this.#repeat(clock, intervalMs, callback),
    };
  }

  get dead(): boolean {
    return this.#state === 'dead';
  }

  get frozen(): boolean {
    return this.#state === 'frozen';
  }

  /** Runs `step` now, or once the node thaws; never when it is dead. */
  run(step: () => void): void {
    if (this.#state === 'live') step();
    else if (this.#state === 'frozen') this.#backlog.push(step);
  }

  freeze(): void {
    if (this.#state === 'live') this.#state = 'frozen';
  }

  thaw(): void {
    if (this.#state !== 'frozen') return;
    this.#state = 'live';
    const backlog = this.#backlog;
    this.#backlog = [];
    for (const step of backlog) this.run(step);
  }

  die(): void {
    this.#state = 'dead';
    this.#backlog = [];
  }

  #schedule(clock: Clock, delayMs: number, callback: () => void): Timer {
    let live = true;
    const timer = clock.schedule(delayMs, () => {
      this.run(() => {
        if (live) callback();
      });
    });
    return {
      cancel() {
        live = false;
        timer.cancel();
      },
    };
  }

  #repeat(clock: Clock, intervalMs: number, callback: () => void): Timer {
    let live = true;
    // As intervals of Node do, those that a stall held up come as one.
    let waiting = false;
    const timer = clock.repeat(intervalMs, () => {
      if (this.dead) timer.cancel();
      if (waiting) return;
      waiting = true;
      this.run(() => {
        waiting = false;
        if (live) callback();
      });
    });
    return {
      cancel() {
        live = false;
        timer.cancel();
      },
    };
  }
}
