// What outlives the processes of a simulated node, and who lives where.
import type { Prng } from '../../src/core/index.ts';
import type { StorePath } from './store-client.ts';
import type { Timekeeping } from './world.ts';

/** Its name, its clocks, its cable to the store. */
export interface Machine<Life> {
  readonly name: string;
  readonly keeping: Timekeeping;
  readonly path: StorePath;
  life: Life | undefined;
}

export interface Lived<Life, M extends Machine<Life> = Machine<Life>> {
  readonly machine: M;
  readonly life: Life;
}

export function livesOf<Life, M extends Machine<Life>>(machines: readonly M[]): Lived<Life, M>[] {
  return machines.flatMap((machine) =>
    machine.life === undefined ? [] : [{ machine, life: machine.life }],
  );
}

export function anyOf<M>(machines: readonly M[], prng: Prng): M {
  return machines[prng.int(machines.length)]!;
}

/** One of those that run. */
export function anyLife<Life>(machines: readonly Machine<Life>[], prng: Prng): Life | undefined {
  const lives = livesOf<Life, Machine<Life>>(machines);
  return lives[prng.int(Math.max(1, lives.length))]?.life;
}
