// A device as the handlers of an entity: commands as plain messages, for a sharded region over the
// devices of all nodes. Which device serves a shard is the caller's choice; whose shard it is, the
// region's. Elements travel as bytes, little-endian.
import { bytesOf, bytesPerElement, DTYPES, hostArrayOf, isDType } from './buffer.ts';
import { launchInvalid } from './errors.ts';
import type { DeviceBuffer, DType } from './buffer.ts';
import type { Device } from './device.ts';
import type { Launch } from './launch.ts';
import type { DeviceStats } from './stats.ts';

export interface AllocateMessage {
  readonly dtype: DType;
  readonly length: number;
}

export interface CopyInMessage {
  readonly buffer: DeviceBuffer;
  readonly data: Uint8Array;
  /** First element. @default 0 */
  readonly offset?: number;
}

export interface CopyOutMessage {
  readonly buffer: DeviceBuffer;
  readonly offset?: number;
  readonly length?: number;
}

/** What a handler is told of where it runs. */
export interface ShardContext {
  readonly shard: number;
}

/**
 * Handlers for `defineEntity`, each a command of the device that `deviceOf` names for the shard.
 * After its shard moved to another device a buffer is refused with `buffer_unknown`.
 */
export function deviceHandlers(deviceOf: (shard: number) => Device) {
  return {
    allocate(_: object, message: AllocateMessage, { shard }: ShardContext) {
      const { dtype, length } = message ?? {};
      return deviceOf(shard).allocate(dtype, length);
    },
    async copyIn(_: object, message: CopyInMessage, { shard }: ShardContext): Promise<void> {
      const { buffer, data, offset = 0 } = message ?? {};
      const dtype = buffer?.dtype;
      if (!isDType(dtype)) throw launchInvalid('dtype', `one of ${DTYPES.join(', ')}`, dtype);
      if (!(data instanceof Uint8Array) || data.byteLength % bytesPerElement(dtype) !== 0) {
        throw launchInvalid('data', `bytes of whole ${dtype} elements`, data?.byteLength);
      }
      await deviceOf(shard).copyIn(buffer, hostArrayOf(dtype, data), { offset });
    },
    async copyOut(
      _: object,
      message: CopyOutMessage,
      { shard }: ShardContext,
    ): Promise<Uint8Array> {
      const { buffer, ...part } = message ?? {};
      return bytesOf(await deviceOf(shard).copyOut(buffer, part));
    },
    free(_: object, buffer: DeviceBuffer, { shard }: ShardContext): Promise<void> {
      return deviceOf(shard).free(buffer);
    },
    launch(_: object, launch: Launch, { shard }: ShardContext): Promise<void> {
      return deviceOf(shard).launch(launch);
    },
    stats(_: object, __: unknown, { shard }: ShardContext): DeviceStats {
      return deviceOf(shard).stats();
    },
  };
}
