// What a device needs of the hardware below it. A backend opens contexts; a context has memory and
// computes until it is closed or lost, and a lost one is never used again. Addresses, queues,
// generations and who may use what are the device's business.
import type { FlotillaError } from '../core/index.ts';
import type { BoundLaunch } from './launch.ts';

export type BackendKind = 'cpu' | 'webgpu' | 'mock';

/** One life of a device. Calls take effect in the order in which they are made. */
export interface DeviceContext {
  /** What computes, for people: processor and threads, or the adapter's name. */
  readonly description: string;
  /** What a placement may ask for: `threads-4`, `shader-f16`, `software`. */
  readonly capabilities: readonly string[];
  /** Bytes that buffers may take in all. */
  readonly memoryBytes: number;
  /** Calls that may be under way at once. */
  readonly streams: number;
  /** Resolves with the reason when the context fails of itself; stays pending else. */
  readonly lost: Promise<FlotillaError>;
  /** A zeroed block. Raises `out_of_memory`. */
  allocate(bytes: number): Promise<number>;
  free(handle: number): Promise<void>;
  /** `data` may not change before it resolves. */
  write(handle: number, offset: number, data: Uint8Array): Promise<void>;
  read(handle: number, offset: number, bytes: number): Promise<Uint8Array>;
  /** Raises `index_out_of_range`, `index_repeated`; then nothing was changed. */
  launch(launch: BoundLaunch): Promise<void>;
  /** Gives memory and threads back, also when something is under way. */
  close(): Promise<void>;
}

export interface DeviceBackend {
  readonly kind: BackendKind;
  /** Raises `backend_unavailable` when this machine cannot, and whatever went wrong else. */
  open(): Promise<DeviceContext>;
}
