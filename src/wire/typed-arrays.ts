// Typed arrays within bodies: the MessagePack extension 0x74 that msgpackr reads, `[kind u8]` and
// the elements in little-endian. Left to itself it writes them as bytes, of another number.
import { addExtension } from 'msgpackr';

export const TYPED_ARRAY = 0x74;

type TypedArrayClass = {
  readonly name: string;
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer): ArrayBufferView;
};

/** By kind. Bytes themselves are MessagePack's binary. */
const CLASSES: readonly TypedArrayClass[] = [
  ...[Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array],
  ...[Float32Array, Float64Array, BigInt64Array, BigUint64Array],
];

/** Whether a kind with so many bytes of elements can be read. */
export function isTypedArray(kind: number, bytes: number): boolean {
  const width = CLASSES[kind]?.BYTES_PER_ELEMENT;
  return width !== undefined && bytes % width === 0;
}

for (const [kind, Class] of CLASSES.entries()) {
  if (Class === Uint8Array) continue;
  addExtension({
    Class,
    type: TYPED_ARRAY,
    pack: ({ buffer, byteOffset, byteLength }: ArrayBufferView) => {
      const packed = Buffer.allocUnsafe(1 + byteLength);
      packed[0] = kind;
      packed.set(new Uint8Array(buffer, byteOffset, byteLength), 1);
      return packed;
    },
    unpack: readTypedArray,
  });
}

for (const Class of [DataView, Float16Array]) {
  const refuse = () => {
    throw new TypeError(`a ${Class.name} does not travel`);
  };
  addExtension({ Class, type: TYPED_ARRAY, pack: refuse, unpack: readTypedArray });
}

/** A copy, since elements in a message lie anywhere. */
function readTypedArray(data: Uint8Array): ArrayBufferView {
  const Class = CLASSES[data[0]!]!;
  return new Class(new Uint8Array(data.subarray(1)).buffer);
}
