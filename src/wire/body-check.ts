// Walks MessagePack without building anything: one value, whole, within the depth limit, with no
// count beyond the bytes that are there and no extension but the timestamp and typed arrays. What
// passes is cheap to decode: memory is bounded by the input's length.
import { MAX_BODY_DEPTH } from './defaults.ts';
import { frameInvalid } from './mux-frame.ts';
import { isTypedArray, TYPED_ARRAY } from './typed-arrays.ts';

const TIMESTAMP = 0xff;

/** Bytes after the token of 0xc0 to 0xdf: fixed sizes; −1 marks what is handled by name. */
const SIZES: readonly number[] = [
  0, -1, 0, 0, -1, -1, -1, -1, -1, -1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17, -1, -1, -1, -1,
  -1, -1, -1,
];

/** Throws `frame_invalid` unless `bytes[start, end)` is exactly one value, safe to decode. */
export function checkBody(bytes: Uint8Array, start: number, end: number): void {
  const stop = checkValue(bytes, start, { end, depth: 0 });
  if (stop !== end) throw frameInvalid(`${end - stop} bytes after a body`);
}

interface Walk {
  readonly end: number;
  depth: number;
}

/** Checks the value at `at`; returns where it stops. */
function checkValue(bytes: Uint8Array, at: number, walk: Walk): number {
  if (at >= walk.end) throw truncated();
  const token = bytes[at]!;
  const next = at + 1;
  if (token < 0x80 || token >= 0xe0) return next;
  if (token < 0x90) return checkItems(bytes, next, { count: (token & 0x0f) * 2, walk });
  if (token < 0xa0) return checkItems(bytes, next, { count: token & 0x0f, walk });
  if (token < 0xc0) return skip(next, token & 0x1f, walk);
  const size = SIZES[token - 0xc0]!;
  if (size >= 0) {
    const isExtension = token >= 0xd4 && token <= 0xd8;
    return isExtension ? extension(bytes, next, { size: size - 1, walk }) : skip(next, size, walk);
  }
  return checkCounted(bytes, next, { token, walk });
}

function checkCounted(
  bytes: Uint8Array,
  at: number,
  { token, walk }: { token: number; walk: Walk },
): number {
  switch (token) {
    case 0xc4:
    case 0xd9:
      return skip(at + 1, readBE(bytes, at, { size: 1, walk }), walk);
    case 0xc5:
    case 0xda:
      return skip(at + 2, readBE(bytes, at, { size: 2, walk }), walk);
    case 0xc6:
    case 0xdb:
      return skip(at + 4, readBE(bytes, at, { size: 4, walk }), walk);
    case 0xc7:
      return extension(bytes, at + 1, { size: readBE(bytes, at, { size: 1, walk }), walk });
    case 0xc8:
      return extension(bytes, at + 2, { size: readBE(bytes, at, { size: 2, walk }), walk });
    case 0xc9:
      return extension(bytes, at + 4, { size: readBE(bytes, at, { size: 4, walk }), walk });
    case 0xdc:
      return checkItems(bytes, at + 2, { count: readBE(bytes, at, { size: 2, walk }), walk });
    case 0xdd:
      return checkItems(bytes, at + 4, { count: readBE(bytes, at, { size: 4, walk }), walk });
    case 0xde:
      return checkItems(bytes, at + 2, { count: readBE(bytes, at, { size: 2, walk }) * 2, walk });
    case 0xdf:
      return checkItems(bytes, at + 4, { count: readBE(bytes, at, { size: 4, walk }) * 2, walk });
    default:
      throw frameInvalid(`a body with the MessagePack token ${token}`);
  }
}

function checkItems(
  bytes: Uint8Array,
  start: number,
  { count, walk }: { count: number; walk: Walk },
): number {
  if (start + count > walk.end) throw truncated();
  if (++walk.depth > MAX_BODY_DEPTH)
    throw frameInvalid(`a body nested over ${MAX_BODY_DEPTH} deep`);
  let at = start;
  for (let i = 0; i < count; i++) {
    const token = at < walk.end ? bytes[at]! : 0xc1;
    at = token < 0x80 || token >= 0xe0 ? at + 1 : checkValue(bytes, at, walk);
  }
  walk.depth--;
  return at;
}

/** `size` bytes after the one that says which extension. */
function extension(
  bytes: Uint8Array,
  at: number,
  { size, walk }: { size: number; walk: Walk },
): number {
  const stop = skip(at + 1, size, walk);
  const type = bytes[at]!;
  const isArray = type === TYPED_ARRAY && size > 0 && isTypedArray(bytes[at + 1]!, size - 1);
  if (type === TIMESTAMP || isArray) return stop;
  throw frameInvalid(`a body with the MessagePack extension ${type} of ${size} bytes`);
}

function readBE(
  bytes: Uint8Array,
  at: number,
  { size, walk }: { size: number; walk: Walk },
): number {
  if (at + size > walk.end) throw truncated();
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + bytes[at + i]!;
  return value;
}

function skip(at: number, size: number, walk: Walk): number {
  if (at + size > walk.end) throw truncated();
  return at + size;
}

function truncated() {
  return frameInvalid('a body that is cut off');
}
