// `fleet.devices`: the devices of all nodes for a program on one of them. It places work by live
// figures, reaches a device wherever it is, and spreads ids over all of them.
import { FlotillaError, sleep } from '../core/index.ts';
import { deviceOfShard, Placement, servesShards } from '../devices/index.ts';
import { Extractor, SHARDING_DEFAULTS } from '../sharding/index.ts';
import { PLACEMENT_DEFAULTS } from './defaults.ts';
import { DeviceView } from './device-view.ts';
import { RemoteDevice } from './remote-device.ts';
import type {
  DeviceCommands,
  DeviceSample,
  PlacementHints,
  PlacementPolicy,
} from '../devices/index.ts';
import type { RpcHost } from '../peer/index.ts';
import type { DeviceRegion } from './device-region.ts';
import type { DeviceRegions, RegionRecord } from './device-regions.ts';
import type { DeviceViewComponents } from './device-view.ts';

export interface PlaceOptions extends PlacementHints {
  /** @default "least-loaded" */
  readonly policy?: PlacementPolicy;
  /** How long to wait for devices that are still being opened. @default 10 000 */
  readonly timeoutMs?: number;
}

export interface RegionOptions extends Pick<PlacementHints, 'backend' | 'capabilities'> {
  /**
   * Fixed when the region is made: the finest that its load can be divided. 0 for as many as there
   * are devices. A region that exists keeps its own. @default 256
   */
  readonly shards?: number;
}

/** A device as people are shown it. */
export interface DeviceInfo extends Omit<DeviceSample, 'sampledAtMs' | 'busyMs'> {
  readonly node: string;
}

export interface DeviceListing {
  /** By node, in the order of each node's configuration. */
  readonly devices: readonly DeviceInfo[];
  /** Members that did not answer. */
  readonly silent: readonly string[];
}

export interface FleetDevicesComponents extends DeviceViewComponents {
  readonly host: Pick<RpcHost, 'name' | 'call'>;
  readonly regions: DeviceRegions;
}

export class FleetDevices {
  readonly #components: FleetDevicesComponents;
  readonly #view: DeviceView;
  readonly #placements: Readonly<Record<PlacementPolicy, Placement>> = {
    'least-loaded': new Placement({ policy: 'least-loaded' }),
    'round-robin': new Placement({ policy: 'round-robin' }),
  };

  constructor(components: FleetDevicesComponents) {
    this.#components = components;
    this.#view = new DeviceView(components);
  }

  start(): void {
    this.#components.regions.start();
  }

  stop(): void {
    this.#components.regions.stop();
    this.#view.stop();
  }

  /**
   * The device for a piece of work, of all nodes, by figures at most a second old. Errors:
   * `no_eligible_device`, which names what was asked and why each was left out.
   */
  async place(options: PlaceOptions = {}): Promise<DeviceCommands> {
    const { policy = 'least-loaded', timeoutMs, ...hints } = options;
    const placement = Object.hasOwn(this.#placements, policy)
      ? this.#placements[policy]
      : new Placement({ policy });
    const { clock } = this.#components;
    const pick = (records: readonly DeviceSample[]) =>
      this.at(placement.pick(records, hints, clock.now()).address);
    const records = await this.#view.records();
    try {
      return pick(records);
    } catch (error) {
      if (!records.some((record) => mayFitSoon(record, hints))) throw error;
      return pick(await this.#opened(hints, timeoutMs));
    }
  }

  /**
   * The device of an address, `node-1/cpu-0`, on whichever node. One of this node is looked up at
   * once (`device_unknown`, `backend_unavailable`), one of another with the first command.
   */
  at(address: string): DeviceCommands {
    const { host, clock, own } = this.#components;
    const node = address.slice(0, Math.max(0, address.lastIndexOf('/')));
    if (node === '') {
      const message = `${address} is no address of a device; one is node-1/cpu-0`;
      throw new FlotillaError('device_unknown', message, { details: { address } });
    }
    return node === host.name ? own.get(address) : new RemoteDevice({ host, clock, node }, address);
  }

  /**
   * The region `id` over the devices of all nodes that fit; made the first time anywhere, and
   * there to stay. Errors: `no_eligible_device` (nothing is made then), `region_conflict`,
   * `region_id_invalid`, `invalid_option`, `store_unavailable`.
   */
  async region(id: string, options: RegionOptions = {}): Promise<DeviceRegion> {
    const { regions } = this.#components;
    const { shards = SHARDING_DEFAULTS.shards } = options;
    if (shards !== 0) void new Extractor(shards);
    const found = await regions.find(id);
    if (found !== undefined) checkSame(id, found, options);
    const hints = hintsOf(found ?? options);
    const known = await this.#view.records();
    const isThere = known.some((each) => !isOpening(each) && servesShards(each, hints));
    // Those that are there when it is made share it at once.
    const isReady = found !== undefined && isThere;
    const fitting = devicesFor(isReady ? known : await this.#opened(hints), hints);
    const count = shards === 0 ? fitting : shards;
    const record = found ?? (await regions.make(id, { shards: count, ...hints }));
    checkSame(id, record, options);
    await this.#components.own.open();
    return regions.open(id, record);
  }

  /** Every device of every node. Opens none. */
  async list(): Promise<DeviceListing> {
    const nodes = await this.#view.list();
    const devices = nodes.flatMap(({ node, devices = [] }) =>
      devices.map(({ sampledAtMs: _at, busyMs: _busy, ...device }) => ({ node, ...device })),
    );
    const silent = nodes.filter((each) => each.devices === undefined).map(({ node }) => node);
    return { devices, silent };
  }

  /** The records once no device that may fit is still being opened, or at the latest by then. */
  async #opened(
    hints: PlacementHints,
    timeoutMs: number = PLACEMENT_DEFAULTS.placeTimeoutMs,
  ): Promise<readonly DeviceSample[]> {
    const { clock } = this.#components;
    const untilMs = clock.now() + timeoutMs;
    for (;;) {
      const records = await this.#view.records();
      const opening = records.some((record) => mayFitSoon(record, hints));
      if (!opening || clock.now() >= untilMs) return records;
      await sleep(clock, PLACEMENT_DEFAULTS.pollMs);
    }
  }
}

/** How many shards may live on. Errors: `no_eligible_device`. */
function devicesFor(records: readonly DeviceSample[], hints: PlacementHints): number {
  const open = records.filter((record) => !isOpening(record));
  deviceOfShard(0, open, hints);
  return open.filter((record) => servesShards(record, hints)).length;
}

function isOpening({ state }: DeviceSample): boolean {
  return state === 'new' || state === 'opening';
}

function mayFitSoon(record: DeviceSample, { backend }: PlacementHints): boolean {
  return isOpening(record) && (backend === undefined || backend === record.backend);
}

function hintsOf({ backend, capabilities }: RegionOptions): Omit<RegionRecord, 'shards'> {
  return { ...(backend && { backend }), ...(capabilities && { capabilities }) };
}

/** Who does not say which devices takes those that it is for. Errors: `region_conflict`. */
function checkSame(id: string, record: RegionRecord, options: RegionOptions): void {
  const { backend, capabilities } = options;
  const textOf = (names: readonly string[] = []) => [...names].sort().join();
  const sameBackend = backend === undefined || backend === record.backend;
  const sameRest =
    capabilities === undefined || textOf(capabilities) === textOf(record.capabilities);
  if (sameBackend && sameRest) return;
  const [there, wanted] = [record, options].map((each) => JSON.stringify(hintsOf(each)));
  const message = `the region ${id} is for devices ${there}, not ${wanted}`;
  throw new FlotillaError('region_conflict', message, { details: { region: id } });
}
