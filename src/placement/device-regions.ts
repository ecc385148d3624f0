// Which regions over devices there are: a record of each in the store, made once, so that whoever
// starts a region gets the same one; and every node with devices hosts all of them, unasked.
import { z } from 'zod';
import { FlotillaError } from '../core/index.ts';
import { deviceHandlers } from '../devices/index.ts';
import { defineEntity } from '../sharding/index.ts';
import { PrefixFollower } from '../store/index.ts';
import { PLACEMENT_DEFAULTS } from './defaults.ts';
import { DeviceRegion } from './device-region.ts';
import type { Clock, Logger } from '../core/index.ts';
import type { Entry, Store, StoreEvent } from '../store/index.ts';
import type { AnyEntityType, EntityType, Sharding } from '../sharding/index.ts';
import type { DeviceHandlers } from './device-region.ts';
import type { NodeDevices } from './node-devices.ts';

const { regionPrefix } = PLACEMENT_DEFAULTS;

const RECORD = z.object({
  shards: z.int().positive(),
  backend: z.enum(['cpu', 'webgpu', 'mock']).exactOptional(),
  capabilities: z.array(z.string()).readonly().exactOptional(),
});

/** What is fixed of a region. */
export type RegionRecord = z.output<typeof RECORD>;

export interface DeviceRegionsComponents {
  readonly store: Pick<Store, 'get' | 'list' | 'revision' | 'watch' | 'compareAndSwap'>;
  readonly sharding: Pick<Sharding, 'register' | 'entity' | 'view'>;
  readonly devices: NodeDevices;
  readonly clock: Clock;
  readonly log: Logger;
}

type RegionType = EntityType<object, DeviceHandlers>;

export class DeviceRegions {
  readonly #components: DeviceRegionsComponents;
  readonly #types = new Map<string, RegionType>();
  readonly #follower: PrefixFollower;
  #isStopped = false;

  constructor(components: DeviceRegionsComponents) {
    this.#components = components;
    const { store, clock, log } = components;
    const listener = {
      listed: (entries: readonly Entry[]) => {
        for (const entry of entries) this.#heard(entry);
      },
      heard: ({ key, value }: StoreEvent) => {
        if (value !== undefined) this.#heard({ key, value });
      },
      failed: (error: unknown) => log.debug({ err: error }, 'device regions are not followed'),
    };
    const { retryMs } = PLACEMENT_DEFAULTS;
    const options = { prefix: regionPrefix, retryMs };
    this.#follower = new PrefixFollower({ store, clock, listener }, options);
  }

  /** A node without devices has nothing to host. */
  start(): void {
    if (this.#components.devices.count > 0) this.#follower.start();
  }

  stop(): void {
    this.#isStopped = true;
    this.#follower.stop();
  }

  /** Errors: `region_id_invalid`, `store_unavailable`. */
  async find(id: string): Promise<RegionRecord | undefined> {
    const entry = await this.#components.store.get(keyOf(id));
    return entry === undefined ? undefined : recordOf(entry);
  }

  /** The record that is there from now on: another node may have been quicker. */
  async make(id: string, record: RegionRecord): Promise<RegionRecord> {
    const key = keyOf(id);
    const value = Buffer.from(JSON.stringify(record));
    const { store } = this.#components;
    const { ok } = await store.compareAndSwap([{ key, revision: 0 }], [{ put: key, value }]);
    return ok ? record : ((await this.find(id)) ?? record);
  }

  /** This node's end of a region. */
  open(id: string, record: RegionRecord): DeviceRegion {
    const { sharding, clock } = this.#components;
    const type = this.#host(id, record);
    const components = {
      clock,
      entity: (entity: string) => sharding.entity(type, entity),
      isServed: () => this.#isServed(type.name),
    };
    return new DeviceRegion(components, { id, shards: record.shards });
  }

  #isServed(type: string): boolean {
    const { view } = this.#components.sharding;
    const regions = [...(view.regions.get(type) ?? [])];
    return regions.some(([node, { session, draining }]) => !draining && view.lives(node, session));
  }

  #host(id: string, { shards, ...hints }: RegionRecord): RegionType {
    let type = this.#types.get(id);
    if (type !== undefined) return type;
    const { devices, sharding } = this.#components;
    type = defineEntity({
      name: `devices.${id}`,
      shards,
      initial: (): object => ({}),
      handlers: deviceHandlers((shard) => devices.forShard(shard, hints)),
      allocation: { name: 'by-device', devices: () => devices.serving(hints) },
      // All that an entity has lies on the device.
      onFailure: 'keep',
      passivateAfterMs: PLACEMENT_DEFAULTS.forgetAfterMs,
    });
    this.#types.set(id, type);
    sharding.register(type as unknown as AnyEntityType);
    return type;
  }

  #heard({ key, value }: Pick<Entry, 'key' | 'value'>): void {
    const { devices, log } = this.#components;
    try {
      const id = key.slice(regionPrefix.length);
      checkRegionId(id);
      const record = recordOf({ key, value });
      // Shards follow the devices that are open.
      void devices.start().then(() => this.#isStopped || this.#host(id, record));
    } catch (error) {
      log.error({ key, err: error }, 'a region over devices cannot be hosted');
    }
  }
}

/** Part of the name of an entity's type. Errors: `region_id_invalid`. */
function checkRegionId(id: string): void {
  if (typeof id === 'string' && /^[\w.-]{1,56}$/.test(id)) return;
  const message = `a region's id is 1 to 56 letters, digits, ".", "_", "-", not ${String(id)}`;
  throw new FlotillaError('region_id_invalid', message.slice(0, 200));
}

function keyOf(id: string): string {
  checkRegionId(id);
  return regionPrefix + id;
}

/** Errors: `region_conflict`. */
function recordOf({ key, value }: Pick<Entry, 'key' | 'value'>): RegionRecord {
  try {
    return RECORD.parse(JSON.parse(Buffer.from(value).toString()));
  } catch (cause) {
    throw new FlotillaError('region_conflict', `the record ${key} is damaged`, { cause });
  }
}
