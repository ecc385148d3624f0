export { fnv1a64 } from './fnv1a.ts';
export { finalise64, toBigInt, toHex } from './hash64.ts';
export { jumpHash, shardOf } from './jump.ts';
export { xxh64, xxh64Bytes } from './xxh64.ts';
export type { Hash64 } from './hash64.ts';
