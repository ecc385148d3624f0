// Which directions between nodes work. Faults may block the same one several times over, and each
// of them ends for itself.
import type { Prng } from '../../src/core/index.ts';

/** From one node to another. */
export type Way = readonly [from: string, to: string];

export class Ways {
  readonly #blocked = new Map<string, number>();

  block(ways: readonly Way[]): void {
    for (const [from, to] of ways) {
      const way = `${from}>${to}`;
      this.#blocked.set(way, (this.#blocked.get(way) ?? 0) + 1);
    }
  }

  unblock(ways: readonly Way[]): void {
    for (const [from, to] of ways) {
      const way = `${from}>${to}`;
      const left = (this.#blocked.get(way) ?? 0) - 1;
      if (left > 0) this.#blocked.set(way, left);
      else this.#blocked.delete(way);
    }
  }

  pass(from: string, to: string): boolean {
    return this.#blocked.size === 0 || !this.#blocked.has(`${from}>${to}`);
  }
}

/** The ways between two sides that do not hear each other, and who is on which. */
export function partition(
  machines: readonly { readonly name: string }[],
  prng: Prng,
): { sides: string; ways: Way[] } {
  const side = machines.map(() => prng.int(2));
  const ways = machines.flatMap((a, i) =>
    machines.filter((_, j) => side[i] !== side[j]).map((b) => [a.name, b.name] as const),
  );
  return { sides: side.join(''), ways };
}
