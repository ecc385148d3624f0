// What this node tells the store of its types: that its session hosts them, and whether it wants
// more of their shards.
import { regionKey, sessionKey } from './ownership-view.ts';
import type { Logger } from '../core/index.ts';
import type { Store } from '../store/index.ts';
import type { AnyEntityType } from './define-entity.ts';
import type { OwnershipView } from './ownership-view.ts';

export interface Registration {
  readonly session: number;
  readonly draining: boolean;
}

export interface RegistrationsComponents {
  readonly node: string;
  readonly store: Pick<Store, 'compareAndSwap'>;
  readonly view: OwnershipView;
  readonly log: Logger;
}

export class Registrations {
  readonly #components: RegistrationsComponents;
  /** Types that are being written. */
  readonly #writing = new Set<string>();

  constructor(components: RegistrationsComponents) {
    this.#components = components;
  }

  /** As far as the view goes: what was written is seen a moment later. */
  has(type: string, { session, draining }: Registration): boolean {
    const { node, view } = this.#components;
    const record = view.regions.get(type)?.get(node);
    return record?.session === session && record.draining === draining;
  }

  /** Writes it, unless it is there. Called again after every change and now and then. */
  put(type: AnyEntityType, registration: Registration): void {
    const { name } = type;
    if (this.#writing.has(name) || this.has(name, registration)) return;
    this.#writing.add(name);
    void this.#write(type, registration).then(() => this.#writing.delete(name));
  }

  async #write(type: AnyEntityType, { session, draining }: Registration): Promise<void> {
    const { node, store, view, log } = this.#components;
    const { name, pins } = type.allocation;
    const allocation = pins === undefined ? { name } : { name, pins };
    const value = Buffer.from(
      JSON.stringify({ session, shards: type.shards, draining, allocation }),
    );
    const key = regionKey(type.name, node);
    // A write of which nothing was heard may come late: then it fails for its revision.
    const compares = [
      { key: sessionKey(node), revision: session },
      { key, revision: view.revisionOf(key) },
    ];
    try {
      await store.compareAndSwap(compares, [{ put: key, value }]);
    } catch (error) {
      log.debug({ type: type.name, err: error }, 'a type is not registered yet');
    }
  }
}
