// What a device does for whoever holds its address: the same words for one of this node, one of
// another node, and whichever serves an id.
import type { DeviceBuffer, DType, HostArrays } from './buffer.ts';
import type { CommandOptions } from './device-command.ts';
import type { Launch } from './launch.ts';
import type { DeviceStats } from './stats.ts';

/** Copies part of a buffer. */
export interface CopyOptions extends CommandOptions {
  /** First element. @default 0 */
  readonly offset?: number;
}

/** Beside those of each command: `queue_full`, `deadline_exceeded`, `cancelled`, `device_dead`. */
export interface DeviceCommands {
  readonly address: string;
  /** A zeroed buffer. Raises `out_of_memory`, `launch_invalid` (dtype, length). */
  allocate<D extends DType>(
    dtype: D,
    length: number,
    options?: CommandOptions,
  ): Promise<DeviceBuffer<D>>;
  /** Fills `buffer` from `offset` on. `data` may not change before it resolves. */
  copyIn<D extends DType>(
    buffer: DeviceBuffer<D>,
    data: HostArrays[D],
    options?: CopyOptions,
  ): Promise<void>;
  /** The elements from `offset` on; `length` of them, or all that follow. */
  copyOut<D extends DType>(
    buffer: DeviceBuffer<D>,
    options?: CopyOptions & { readonly length?: number },
  ): Promise<HostArrays[D]>;
  /** Gives a buffer back. */
  free(buffer: DeviceBuffer, options?: CommandOptions): Promise<void>;
  /**
   * Runs a kernel. Raises `launch_invalid`, `buffer_stale`, `buffer_unknown`, `index_out_of_range`,
   * `index_repeated`.
   */
  launch(launch: Launch, options?: CommandOptions): Promise<void>;
  /** Figures of this moment. */
  stats(): DeviceStats | Promise<DeviceStats>;
}
