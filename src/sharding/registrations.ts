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
  /** Of each type, the revision at which it was written last. */
  readonly #written = new Map<string, number>();

  constructor(components: RegistrationsComponents) {
    this.#components = components;
  }

  /** As far as the view goes: what was written is seen a moment later, and is not there before. */
  has(type: AnyEntityType, registration: Registration): boolean {
    const { node, view } = this.#components;
    const known = view.revisionOf(regionKey(type.name, node));
    if (this.#writing.has(type.name) || known < (this.#written.get(type.name) ?? 0)) return false;
    const record = view.regions.get(type.name)?.get(node);
    const { session, draining, devices = [] } = recordOf(type, registration);
    if (record?.session !== session || record.draining !== draining) return false;
    return devices.join() === (record.allocation.devices ?? []).join();
  }

  /** Writes it, unless it is there. Called again after every change and now and then. */
  put(type: AnyEntityType, registration: Registration): void {
    const { name } = type;
    if (this.#writing.has(name) || this.has(type, registration)) return;
    this.#writing.add(name);
    void this.#write(type, registration).then(() => this.#writing.delete(name));
  }

  async #write(type: AnyEntityType, registration: Registration): Promise<void> {
    const { session, draining, devices } = recordOf(type, registration);
    const { node, store, view, log } = this.#components;
    const { name, pins } = type.allocation;
    const allocation = { name, ...(pins && { pins }), ...(devices && { devices }) };
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
      const { ok, revision } = await store.compareAndSwap(compares, [{ put: key, value }]);
      if (ok) this.#written.set(type.name, revision);
    } catch (error) {
      log.debug({ type: type.name, err: error }, 'a type is not registered yet');
    }
  }
}

/** Without a device a type that devices serve wants no shard here. */
function recordOf({ allocation }: AnyEntityType, { session, draining }: Registration) {
  const devices = allocation.devices?.();
  return { session, draining: draining || devices?.length === 0, devices };
}
