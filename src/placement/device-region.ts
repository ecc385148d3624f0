// A region over the devices of all nodes: an id's commands go to the device that serves its shard,
// on whichever node that is. Which regions there are is `DeviceRegions`' business.
import { FlotillaError, hasCode } from '../core/index.ts';
import { DEVICE_DEFAULTS, readDeviceBuffer, readDeviceStats } from '../devices/index.ts';
import { fetchPieces, sendPieces } from './copies.ts';
import type { Clock } from '../core/index.ts';
import type {
  CommandOptions,
  CopyOptions,
  DeviceBuffer,
  DeviceCommands,
  deviceHandlers,
  DeviceStats,
  DType,
  HostArrays,
  Launch,
} from '../devices/index.ts';
import type { EntityReference } from '../sharding/index.ts';

export type DeviceHandlers = ReturnType<typeof deviceHandlers>;

export interface DeviceRegionComponents {
  readonly clock: Clock;
  readonly entity: (id: string) => EntityReference<DeviceHandlers>;
  /** Whether some node has a device for it, as far as this one knows. */
  readonly isServed: () => boolean;
}

/** Made by `fleet.devices.region`. */
export class DeviceRegion {
  readonly id: string;
  /** Fixed since it was made. */
  readonly shards: number;
  readonly #components: DeviceRegionComponents;

  constructor(components: DeviceRegionComponents, { id, shards }: { id: string; shards: number }) {
    this.#components = components;
    this.id = id;
    this.shards = shards;
  }

  /** The device that serves `id`. Errors: `entity_id_invalid`. */
  entity(id: string): DeviceEntity {
    return new DeviceEntity(this.#components, this.id, this.#components.entity(id));
  }
}

/**
 * Whichever device serves an id: the same one as long as the devices are the same. Its buffers stay
 * behind when its shard moves, and are refused with `buffer_unknown` from then on. Commands of one
 * id run one at a time, each within 30 s. Raises what the device raises, what an entity's `ask`
 * does, and `no_eligible_device` when no node has a device left.
 */
export class DeviceEntity implements DeviceCommands {
  readonly id: string;
  /** The region and the id; which device it is, its buffers tell. */
  readonly address: string;
  /** Takes the same commands as messages, for `tell`. */
  readonly reference: EntityReference<DeviceHandlers>;
  readonly #components: DeviceRegionComponents;

  constructor(
    components: DeviceRegionComponents,
    region: string,
    reference: EntityReference<DeviceHandlers>,
  ) {
    this.#components = components;
    this.id = reference.id;
    this.address = `${region}/${reference.id}`;
    this.reference = reference;
  }

  get shard(): number {
    return this.reference.shard;
  }

  async allocate<D extends DType>(
    dtype: D,
    length: number,
    options?: CommandOptions,
  ): Promise<DeviceBuffer<D>> {
    const message = { allocate: { dtype, length } };
    const buffer = await this.#ask(options, (time) => this.reference.ask(message, time));
    return readDeviceBuffer(buffer) as DeviceBuffer<D>;
  }

  async copyIn<D extends DType>(
    buffer: DeviceBuffer<D>,
    data: HostArrays[D],
    options: CopyOptions = {},
  ): Promise<void> {
    await sendPieces(this.#components.clock, { buffer, data, options }, (piece, rest) => {
      const message = { copyIn: { buffer, data: piece.bytes, offset: piece.offset } };
      return this.#ask(rest, (time) => this.reference.ask(message, time));
    });
  }

  async copyOut<D extends DType>(
    buffer: DeviceBuffer<D>,
    options: CopyOptions & { readonly length?: number } = {},
  ): Promise<HostArrays[D]> {
    return fetchPieces(this.#components.clock, { buffer, options }, (range, rest) => {
      const message = { copyOut: { buffer, ...range } };
      return this.#ask(rest, (time) => this.reference.ask(message, time));
    });
  }

  async free(buffer: DeviceBuffer, options?: CommandOptions): Promise<void> {
    await this.#ask(options, (time) => this.reference.ask({ free: buffer }, time));
  }

  async launch(launch: Launch, options?: CommandOptions): Promise<void> {
    await this.#ask(options, (time) => this.reference.ask({ launch }, time));
  }

  async stats(): Promise<DeviceStats> {
    const stats = await this.#ask({}, (time) => this.reference.ask('stats', time));
    return readDeviceStats(stats, this.#components.clock.now());
  }

  async #ask<T>(
    { timeoutMs = DEVICE_DEFAULTS.commandTimeoutMs, signal }: CommandOptions = {},
    ask: (time: { readonly timeoutMs: number }) => Promise<T>,
  ): Promise<T> {
    if (signal?.aborted) throw cancelled(signal);
    try {
      const answer = ask({ timeoutMs });
      return await (signal === undefined ? answer : unlessAborted(answer, signal));
    } catch (error) {
      if (!hasCode(error, 'not_delivered') || this.#components.isServed()) throw error;
      const message = `no node has a device for ${this.address}: ${error.message}`;
      throw new FlotillaError('no_eligible_device', message, { cause: error });
    }
  }
}

function cancelled(signal: AbortSignal): FlotillaError {
  return new FlotillaError('cancelled', 'the command was cancelled', { cause: signal.reason });
}

function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(cancelled(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  return Promise.race([answer, promise]).finally(() => {
    signal.removeEventListener('abort', onAbort);
  });
}
