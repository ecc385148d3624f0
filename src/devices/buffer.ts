// What a buffer of a device is called from outside: plain data that may cross a connection. The
// bytes behind it, and whether it is still good, are known to its device alone.
import { MAX_TEXT_LENGTH } from './defaults.ts';
import { launchInvalid } from './errors.ts';

/** Elements that a buffer may hold. Kernels compute in float32; `cast` converts. */
export type DType = 'float32' | 'float16' | 'int32' | 'uint8';

/** The array that holds a dtype's elements on the host. */
export interface HostArrays {
  readonly float32: Float32Array;
  readonly float16: Float16Array;
  readonly int32: Int32Array;
  readonly uint8: Uint8Array;
}

const ARRAYS = {
  float32: Float32Array,
  float16: Float16Array,
  int32: Int32Array,
  uint8: Uint8Array,
} as const;

export const DTYPES = Object.keys(ARRAYS) as readonly DType[];

/** A buffer's name. It is good for one generation: the life of the context that allocated it. */
export interface DeviceBuffer<D extends DType = DType> {
  /** Address of its device. */
  readonly device: string;
  readonly id: number;
  readonly generation: number;
  readonly dtype: D;
  /** Elements. */
  readonly length: number;
}

/** Reads a name that came from elsewhere. Raises `launch_invalid`. */
export function readDeviceBuffer(body: unknown): DeviceBuffer {
  const { device, id, generation, dtype, length } = (body ?? {}) as Record<string, unknown>;
  const counts = [id, generation, length].every((value) => Number.isSafeInteger(value));
  if (typeof device === 'string' && device.length <= MAX_TEXT_LENGTH && counts && isDType(dtype)) {
    return { device, id, generation, dtype, length } as DeviceBuffer;
  }
  throw launchInvalid('buffer', 'the name of a buffer', body);
}

export function isDType(value: unknown): value is DType {
  return DTYPES.includes(value as DType);
}

export function bytesPerElement(dtype: DType): number {
  return ARRAYS[dtype].BYTES_PER_ELEMENT;
}

/** True when `data` is the array that goes with `dtype`. */
export function isHostArray<D extends DType>(dtype: D, data: unknown): data is HostArrays[D] {
  return data instanceof ARRAYS[dtype];
}

/** The bytes as an array of `dtype`: a view where they lie aligned, else a copy. */
export function hostArrayOf<D extends DType>(dtype: D, bytes: Uint8Array): HostArrays[D] {
  const size = bytesPerElement(dtype);
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset, byteLength } = aligned;
  return new ARRAYS[dtype](
    buffer as ArrayBuffer,
    byteOffset,
    Math.floor(byteLength / size),
  ) as HostArrays[D];
}

export function bytesOf(data: HostArrays[DType]): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
