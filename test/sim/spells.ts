// When faults come and how long they last, drawn from the seed: each comes to its end, and all that
// still last end when the fleet heals. What goes wrong is for those who use it.
import type { Prng } from '../../src/core/index.ts';
import type { World } from './world.ts';

export class Spells {
  readonly #world: World;
  readonly #prng: Prng;
  readonly #running = new Set<() => void>();
  /** From here on nothing new goes wrong. */
  healed = false;

  constructor(world: World, prng: Prng) {
    this.#world = world;
    this.#prng = prng;
  }

  /** Injects faults, `meanMs` apart on average, until all heals. */
  every(meanMs: number, inject: () => void): void {
    const gapMs = -meanMs * Math.log(1 - this.#prng.next());
    this.#world.at(gapMs, undefined, () => {
      if (this.healed) return;
      inject();
      this.every(meanMs, inject);
    });
  }

  /** `end` undoes after `durationMs` what the caller has done, or when all heals. */
  during(durationMs: number, what: string, end: () => void): void {
    const { trace } = this.#world;
    trace.add(this.#world.now, what, Math.round(durationMs));
    const once = () => {
      if (!this.#running.delete(once)) return;
      trace.add(this.#world.now, 'end of', what);
      end();
    };
    this.#running.add(once);
    this.#world.at(durationMs, undefined, once);
  }

  heal(): void {
    this.healed = true;
    this.#world.trace.add(this.#world.now, 'heal');
    for (const end of [...this.#running]) end();
  }

  /** Short ones are as likely as long ones: uniform in the logarithm. */
  lengthMs(least: number, most: number): number {
    return least * (most / least) ** this.#prng.next();
  }
}
