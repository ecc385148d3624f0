// Seeded pseudo-random numbers: xoshiro128** (Blackman and Vigna, 2018), seeded through splitmix32.
// Everything random in Flotilla draws from a `Prng` given to it, so that a seed replays it.

export interface Prng {
  /** A uniform integer in [0, 2^32). */
  uint32(): number;
  /** A uniform number in [0, 1) with 32 random bits. */
  next(): number;
  /** A uniform integer in [0, bound), unbiased. `bound` in [1, 2^32]. */
  int(bound: number): number;
  /** A draw from the normal distribution with mean 0 and deviation 1 (Box–Muller). */
  normal(): number;
}

const TWO_32 = 2 ** 32;

/** A reproducible generator. Equal seeds give equal sequences on every platform. */
export function createPrng(seed: number, stream = 0): Prng {
  let mix = (seed ^ Math.imul(stream, 0x9e3779b9)) >>> 0;
  const splitmix = () => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  let a = splitmix();
  let b = splitmix();
  let c = splitmix();
  let d = splitmix() | 1;
  let spare: number | undefined;

  const uint32 = () => {
    const x = Math.imul(b, 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  const int = (bound: number) => {
    const limit = TWO_32 - (TWO_32 % bound);
    let draw = uint32();
    while (draw >= limit) draw = uint32();
    return draw % bound;
  };
  const normal = () => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log((uint32() + 1) / (TWO_32 + 1)));
    const angle = (2 * Math.PI * uint32()) / TWO_32;
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
  return { uint32, next: () => uint32() / TWO_32, int, normal };
}

/** Shuffles `items` in place (Fisher–Yates). */
export function shuffle(items: Uint32Array | unknown[], prng: Prng): void {
  const list = items as unknown[];
  for (let i = list.length - 1; i > 0; i--) {
    const j = prng.int(i + 1);
    const held = list[i];
    list[i] = list[j];
    list[j] = held;
  }
}
