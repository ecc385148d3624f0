// A device of another node, by RPC. Copies travel in pieces, so that one message is never large.
import { FlotillaError } from '../core/index.ts';
import {
  bytesOf,
  bytesPerElement,
  DEVICE_DEFAULTS,
  hostArrayOf,
  readDeviceBuffer,
  readDeviceStats,
} from '../devices/index.ts';
import { PLACEMENT_DEFAULTS } from './defaults.ts';
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
    const { offset, ...rest } = options;
    const left = withinTime(this.#components.clock, rest);
    for (const piece of piecesOf(buffer.dtype, { offset, length: data.length })) {
      const bytes = bytesOf(data.subarray(piece.from, piece.from + piece.length));
      const body = { buffer, offset: piece.offset };
      await this.#call('copyIn', { body, bytes }, left());
    }
  }

  async copyOut<D extends DType>(
    buffer: DeviceBuffer<D>,
    options: CopyOptions & { readonly length?: number } = {},
  ): Promise<HostArrays[D]> {
    const { offset = 0, length = buffer.length - offset, ...rest } = options;
    const left = withinTime(this.#components.clock, rest);
    return gather(buffer.dtype, { offset, length }, async (piece) => {
      const body = { buffer, offset: piece.offset, length: piece.length };
      return (await this.#call('copyOut', { body }, left())).bytes;
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

/** Options for each piece of a command: what is left of its time. */
export function withinTime(clock: Clock, options: CommandOptions): () => CommandOptions {
  const { timeoutMs = DEVICE_DEFAULTS.commandTimeoutMs } = options;
  const untilMs = clock.now() + timeoutMs;
  return () => {
    const leftMs = untilMs - clock.now();
    if (leftMs > 0) return { ...options, timeoutMs: leftMs };
    throw new FlotillaError('deadline_exceeded', `a copy did not finish within ${timeoutMs} ms`);
  };
}

/** Part of a copy: `from` counts from its first element, `offset` from that of the buffer. */
export interface Piece {
  readonly from: number;
  readonly offset: number;
  readonly length: number;
}

/** At least one, so that a copy of nothing is checked too. */
export function piecesOf(
  dtype: DType,
  { offset = 0, length }: { readonly offset?: number | undefined; readonly length: number },
): Piece[] {
  const most = PLACEMENT_DEFAULTS.pieceBytes / bytesPerElement(dtype);
  const pieces: Piece[] = [];
  for (let from = 0; from === 0 || from < length; from += most) {
    pieces.push({ from, offset: offset + from, length: Math.min(most, length - from) });
  }
  return pieces;
}

/** The elements of a copy, piece by piece. Errors: `launch_invalid` for an answer that is none. */
export async function gather<D extends DType>(
  dtype: D,
  range: { readonly offset: number; readonly length: number },
  fetch: (piece: Piece) => Promise<Uint8Array | undefined>,
): Promise<HostArrays[D]> {
  const size = bytesPerElement(dtype);
  const pieces = piecesOf(dtype, range);
  let all: Uint8Array | undefined;
  for (const piece of pieces) {
    const bytes = await fetch(piece);
    if (!(bytes instanceof Uint8Array) || bytes.length !== piece.length * size) {
      const message = `${piece.length} elements of ${dtype} were asked for, but others came`;
      throw new FlotillaError('launch_invalid', message);
    }
    if (pieces.length === 1) return hostArrayOf(dtype, bytes);
    // Taken only once the device has found the range to be good.
    all ??= new Uint8Array(range.length * size);
    all.set(bytes, piece.from * size);
  }
  return hostArrayOf(dtype, all ?? new Uint8Array(0));
}
