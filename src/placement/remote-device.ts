// A device of another node, by RPC. Copies travel in pieces, so that one message is never large.
import { DEVICE_DEFAULTS, readDeviceBuffer, readDeviceStats } from '../devices/index.ts';
import { fetchPieces, sendPieces } from './copies.ts';
import { DEVICE_PROCEDURES } from './node-devices.ts';
import type { Clock } from '../core/index.ts';
import type {
  CommandOptions,
  CopyOptions,
  DeviceBuffer,
  DeviceCommands,
  DeviceStats,
  DType,
  HostArrays,
  Launch,
} from '../devices/index.ts';
import type { Payload, RpcHost } from '../peer/index.ts';

export interface RemoteDeviceComponents {
  readonly host: Pick<RpcHost, 'call'>;
  readonly clock: Clock;
  readonly node: string;
}

/** Raises what the device raises, and what a call to its node may. */
export class RemoteDevice implements DeviceCommands {
  readonly address: string;
  readonly #components: RemoteDeviceComponents;

  constructor(components: RemoteDeviceComponents, address: string) {
    this.#components = components;
    this.address = address;
  }

  async allocate<D extends DType>(
    dtype: D,
    length: number,
    options?: CommandOptions,
  ): Promise<DeviceBuffer<D>> {
    const { body } = await this.#call('allocate', { body: { dtype, length } }, options);
    return readDeviceBuffer(body) as DeviceBuffer<D>;
  }

  async copyIn<D extends DType>(
    buffer: DeviceBuffer<D>,
    data: HostArrays[D],
    options: CopyOptions = {},
  ): Promise<void> {
    await sendPieces(this.#components.clock, { buffer, data, options }, (piece, time) => {
      const { offset, bytes } = piece;
      return this.#call('copyIn', { body: { buffer, offset }, bytes }, time);
    });
  }

  async copyOut<D extends DType>(
    buffer: DeviceBuffer<D>,
    options: CopyOptions & { readonly length?: number } = {},
  ): Promise<HostArrays[D]> {
    return fetchPieces(this.#components.clock, { buffer, options }, async (range, time) => {
      const { bytes } = await this.#call('copyOut', { body: { buffer, ...range } }, time);
      return bytes;
    });
  }

  async free(buffer: DeviceBuffer, options?: CommandOptions): Promise<void> {
    await this.#call('free', { body: { buffer } }, options);
  }

  async launch(launch: Launch, options?: CommandOptions): Promise<void> {
    await this.#call('launch', { body: { launch } }, options);
  }

  async stats(): Promise<DeviceStats> {
    const { body } = await this.#call('stats', { body: {} });
    return readDeviceStats(body, this.#components.clock.now());
  }

  #call(
    command: keyof typeof DEVICE_PROCEDURES,
    { body, bytes }: { readonly body: object; readonly bytes?: Uint8Array },
    { timeoutMs = DEVICE_DEFAULTS.commandTimeoutMs, signal }: CommandOptions = {},
  ): Promise<Payload> {
    const { host, node } = this.#components;
    const request = {
      body: { ...body, address: this.address, timeoutMs },
      ...(bytes && { bytes }),
    };
    const options = { timeoutMs, ...(signal && { signal }) };
    return host.call(node, DEVICE_PROCEDURES[command], request, options);
  }
}
