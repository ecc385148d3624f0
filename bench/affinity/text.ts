// The texts of conversations: slices of one seeded text, so that those of two conversations differ,
// and the keys of their blocks for the engines.
import { xxh64 } from '../../src/hash/index.ts';
import type { Prng } from '../../src/core/index.ts';

export const CHARACTERS_PER_TOKEN = 4;
/** Blocks of the engines' cache. vLLM has 16; larger ones make the simulation quicker. */
export const BLOCK_TOKENS = 64;

const POOL_CHARACTERS = 2 ** 20;

export class TextPool {
  readonly #text: string;

  constructor(prng: Prng) {
    const words = Array.from({ length: POOL_CHARACTERS / 8 }, () =>
      prng.uint32().toString(16).padStart(8, '0'),
    );
    this.#text = words.join('');
  }

  take(tokens: number, prng: Prng): string {
    const length = tokens * CHARACTERS_PER_TOKEN;
    const start = prng.int(POOL_CHARACTERS - length);
    return this.#text.slice(start, start + length);
  }
}

const KEY_MASK = 2n ** 53n - 1n;

/** A key for each full block; it hashes the block and the key before it. */
export function blockKeysOf(text: string): number[] {
  const characters = BLOCK_TOKENS * CHARACTERS_PER_TOKEN;
  const keys: number[] = [];
  let key = 0;
  for (let end = characters; end <= text.length; end += characters) {
    key = Number(xxh64(`${key} ${text.slice(end - characters, end)}`) & KEY_MASK);
    keys.push(key);
  }
  return keys;
}
