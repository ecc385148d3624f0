// Copies to and from a device that is reached by messages: in pieces, so that none is large, and
// all within the time of the one command that they are.
import { FlotillaError } from '../core/index.ts';
import { bytesOf, bytesPerElement, DEVICE_DEFAULTS, hostArrayOf } from '../devices/index.ts';
import { PLACEMENT_DEFAULTS } from './defaults.ts';
import type { Clock } from '../core/index.ts';
import type {
  CommandOptions,
  CopyOptions,
  DeviceBuffer,
  DType,
  HostArrays,
} from '../devices/index.ts';

/** Fills a buffer; `send` gets each piece, where it begins in the buffer, and what time is left. */
export async function sendPieces<D extends DType>(
  clock: Clock,
  copy: {
    readonly buffer: DeviceBuffer<D>;
    readonly data: HostArrays[D];
    readonly options: CopyOptions;
  },
  send: (
    piece: { readonly offset: number; readonly bytes: Uint8Array },
    time: CommandOptions,
  ) => Promise<unknown>,
): Promise<void> {
  const { buffer, data, options } = copy;
  const { offset = 0, ...rest } = options;
  const left = withinTime(clock, rest);
  for (const { from, length } of piecesOf(buffer.dtype, data.length)) {
    const bytes = bytesOf(data.subarray(from, from + length));
    await send({ offset: offset + from, bytes }, left());
  }
}

/** The elements of a buffer. Errors: `launch_invalid` for an answer that is none of them. */
export async function fetchPieces<D extends DType>(
  clock: Clock,
  copy: {
    readonly buffer: DeviceBuffer<D>;
    readonly options: CopyOptions & { readonly length?: number };
  },
  fetch: (
    range: { readonly offset: number; readonly length: number },
    time: CommandOptions,
  ) => Promise<Uint8Array | undefined>,
): Promise<HostArrays[D]> {
  const { buffer, options } = copy;
  const { dtype } = buffer;
  const { offset = 0, length: wanted = buffer.length - offset, ...rest } = options;
  const left = withinTime(clock, rest);
  const size = bytesPerElement(dtype);
  const pieces = piecesOf(dtype, wanted);
  let all: Uint8Array | undefined;
  for (const { from, length } of pieces) {
    const bytes = await fetch({ offset: offset + from, length }, left());
    if (!(bytes instanceof Uint8Array) || bytes.length !== length * size) {
      const message = `${length} elements of ${dtype} were asked for, but others came`;
      throw new FlotillaError('launch_invalid', message);
    }
    if (pieces.length === 1) return hostArrayOf(dtype, bytes);
    // Taken only once the device has found the range to be good.
    all ??= new Uint8Array(wanted * size);
    all.set(bytes, from * size);
  }
  return hostArrayOf(dtype, all ?? new Uint8Array(0));
}

/** Options for each piece of a command: what is left of its time. */
function withinTime(clock: Clock, options: CommandOptions): () => CommandOptions {
  const { timeoutMs = DEVICE_DEFAULTS.commandTimeoutMs } = options;
  const untilMs = clock.now() + timeoutMs;
  return () => {
    const leftMs = untilMs - clock.now();
    if (leftMs > 0) return { ...options, timeoutMs: leftMs };
    throw new FlotillaError('deadline_exceeded', `a copy did not finish within ${timeoutMs} ms`);
  };
}

/** Parts of so many elements. At least one, so that a copy of nothing is checked too. */
function piecesOf(dtype: DType, elements: number): { from: number; length: number }[] {
  const most = PLACEMENT_DEFAULTS.pieceBytes / bytesPerElement(dtype);
  const pieces = [];
  for (let from = 0; from === 0 || from < elements; from += most) {
    pieces.push({ from, length: Math.min(most, elements - from) });
  }
  return pieces;
}
