// Where the other members were, as of the last run: a founder that starts again without a seed
// finds its fleet there, and a node whose seeds have moved finds another way in.
import { readFileSync } from 'node:fs';
import { messageOf } from '../core/index.ts';
import { writeFileAtomic } from '../identity/index.ts';
import { NODE_DEFAULTS } from './defaults.ts';
import type { Clock, Logger, Timer } from '../core/index.ts';
import type { Cluster } from '../cluster/index.ts';

export interface KnownMembersComponents {
  readonly cluster: Pick<Cluster, 'members' | 'self' | 'watch'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Addresses from an earlier run; none when there was none or the file is damaged. */
export function loadKnownMembers(file: string): string[] {
  try {
    const addresses: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (!Array.isArray(addresses)) return [];
    const valid = addresses.filter((each) => typeof each === 'string' && /^.+:\d+$/.test(each));
    return valid.slice(0, NODE_DEFAULTS.knownMembers);
  } catch {
    return [];
  }
}

/** Keeps the addresses in `file` while the cluster changes. */
export class KnownMembers {
  readonly #file: string;
  readonly #components: KnownMembersComponents;
  #unwatch = () => {};
  #timer: Timer | undefined;

  constructor(file: string, components: KnownMembersComponents) {
    this.#file = file;
    this.#components = components;
  }

  start(): void {
    const { cluster, clock } = this.#components;
    const later = () => {
      this.#timer ??= clock.schedule(NODE_DEFAULTS.knownMembersMs, () => this.#save());
    };
    this.#unwatch = cluster.watch(later);
    later();
  }

  stop(): void {
    this.#unwatch();
    if (this.#timer === undefined) return;
    this.#timer.cancel();
    this.#save();
  }

  #save(): void {
    this.#timer = undefined;
    const { cluster, log } = this.#components;
    const others = cluster.members().filter(({ name }) => name !== cluster.self.name);
    const addresses = others.map(({ address }) => address).slice(0, NODE_DEFAULTS.knownMembers);
    try {
      writeFileAtomic(this.#file, `${JSON.stringify(addresses)}\n`);
    } catch (error) {
      log.warn({ err: error }, `the members are not kept: ${messageOf(error)}`);
    }
  }
}
