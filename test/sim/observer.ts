// Sees true time and everybody's state, and knows what must never be. It keeps the first violation.
import { hasEnded } from '../../src/cluster/index.ts';
import type { Member, MemberStatus } from '../../src/cluster/index.ts';
import type { Violation } from './history.ts';
import type { Effect } from './sink.ts';

export class Observer {
  readonly #now: () => number;
  violation: Violation | undefined;
  /** Who owned an epoch of a key, as its effects show: `life` by `key epoch`. */
  readonly #owners = new Map<string, number>();
  /** The largest epoch that was accepted, by key. */
  readonly #accepted = new Map<string, number>();
  /** The largest epoch that the store granted, by key. */
  readonly #granted = new Map<string, number>();
  /** By observing life: the largest incarnation that ended, by name. */
  readonly #ended = new Map<number, Map<string, number>>();
  /** By observing life: the largest incarnation seen, by name. */
  readonly #seen = new Map<number, Map<string, number>>();

  constructor(now: () => number) {
    this.#now = now;
  }

  violate(invariant: string, details: string, ...nodes: readonly string[]): void {
    if (this.violation !== undefined) return;
    this.violation = { invariant, details, nodes, atMs: this.#now() };
  }

  /** The store granted a term. `holders`: others who believe in one of theirs at this moment. */
  granted(key: string, epoch: number, holders: readonly { name: string; epoch: number }[]): void {
    const before = this.#granted.get(key) ?? 0;
    if (epoch <= before) {
      this.violate('epochs only grow', `the store granted ${key} ${epoch} after ${before}`);
    }
    this.#granted.set(key, epoch);
    for (const holder of holders) {
      this.violate(
        'a holder fences itself before another can be granted its key',
        `${key} is granted at ${epoch} while ${holder.name} holds it at ${holder.epoch}`,
        holder.name,
      );
    }
  }

  /** A node is about to act. `stands`: the epoch that the store has for the key at this moment. */
  acts(effect: Effect, stands: number | undefined): void {
    if (stands === effect.epoch) return;
    this.violate(
      'nobody begins an effect after its fence',
      `${effect.owner} acts on ${effect.key} at ${effect.epoch}, the store has ${stands ?? 'none'}`,
      effect.owner,
    );
  }

  accepted({ key, epoch, owner, life }: Effect): void {
    const last = this.#accepted.get(key) ?? 0;
    if (epoch < last) {
      const details = `${key} took ${epoch} of ${owner} after ${last}`;
      this.violate('nothing effectful from a stale epoch', details, owner);
    }
    this.#accepted.set(key, Math.max(last, epoch));
    const term = `${key} ${epoch}`;
    const known = this.#owners.get(term) ?? life;
    if (known !== life) {
      const details = `${key} took ${epoch} of lives ${known} and ${life}`;
      this.violate('no two accepted owners at one epoch', details, owner);
    }
    this.#owners.set(term, life);
    if (epoch > (this.#granted.get(key) ?? 0)) {
      const details = `${key} took ${epoch} of ${owner}, which nobody granted`;
      this.violate('epochs come from the store', details, owner);
    }
  }

  /** `life` of `observer` changed its mind on a member. */
  changed(
    observer: { readonly name: string; readonly life: number },
    member: Pick<Member, 'name' | 'incarnation' | 'status'>,
    previous: MemberStatus | undefined,
  ): void {
    const { name, incarnation, status } = member;
    const ended = of(this.#ended, observer.life);
    const seen = of(this.#seen, observer.life);
    const endedAt = ended.get(name) ?? -1;
    const says = `${observer.name} has ${name}@${incarnation} ${status} (was ${previous ?? 'new'})`;
    if (incarnation <= endedAt && !hasEnded(status)) {
      const details = `${says}, but it ended as ${endedAt}`;
      this.violate('removed incarnations stay removed', details, observer.name, name);
    }
    const before = seen.get(name) ?? -1;
    if (incarnation < before) {
      const details = `${says} after ${before}`;
      this.violate('incarnations only grow', details, observer.name, name);
    }
    seen.set(name, incarnation);
    if (hasEnded(status)) ended.set(name, incarnation);
  }
}

function of(map: Map<number, Map<string, number>>, life: number): Map<string, number> {
  let inner = map.get(life);
  if (inner === undefined) {
    inner = new Map();
    map.set(life, inner);
  }
  return inner;
}
