// xxHash64 (Collet) with seed 0, through the WebAssembly of `xxhash-wasm`: the hash that decides
// which shard an id belongs to, the same in every process, version and language.
import xxhash from 'xxhash-wasm';

const { h64, h64Raw } = await xxhash();

/** Hashes the UTF-8 bytes of `text`. */
export function xxh64(text: string): bigint {
  return h64(text);
}

export function xxh64Bytes(bytes: Uint8Array): bigint {
  return h64Raw(bytes);
}
