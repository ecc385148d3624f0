export { decodeBody, encodeBody } from './body-codec.ts';
export { BufferPool } from './buffer-pool.ts';
export { MAX_FRAGMENT_BYTES, MAX_SIGNAL_BYTES, WIRE_DEFAULTS } from './defaults.ts';
export { WIRE_ERRORS } from './errors.ts';
export {
  FRAMED_PREFIX_BYTES,
  MessageDecoder,
  RAW_PREFIX_BYTES,
  ReceiveBudget,
  writeFramedPrefix,
  writeRawPrefix,
} from './message-decoder.ts';
export { messageMemory } from './message-memory.ts';
export {
  frameInvalid,
  MUX_FLAGS,
  MUX_HEADER_BYTES,
  MuxDecoder,
  patchMuxLength,
  readU32,
  writeMuxHeader,
  writeU32,
} from './mux-frame.ts';
export type { EncodedBody } from './body-codec.ts';
export type { MessageSink } from './message-decoder.ts';
export type { MuxSink } from './mux-frame.ts';
