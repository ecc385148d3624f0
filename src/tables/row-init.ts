// The first value of a row, from the table's seed and the row's id alone: it is the same wherever
// the row is placed, in whatever order rows are inserted.
import { xxh64 } from '../hash/index.ts';

const WARM_UP_ROUNDS = 12;
const TO_UNIT = 2 ** -31;

/**
 * Fills `target` with draws from N(0, deviation²): Marsaglia's polar method over the generator
 * sfc32, whose state is xxh64(id) and the seed. A generator made for each row has to be cheap to
 * start, and ids that share 32 bits of hash must not share a row. Its round is written out twice
 * below, so that its state stays in local variables.
 */
export function fillInitialRow(
  target: Float32Array,
  id: string,
  init: { readonly deviation: number; readonly seed: number },
): void {
  const hash = xxh64(id);
  let a = Number(hash & 0xffffffffn) | 0;
  let b = Number(hash >> 32n) | 0;
  let c = init.seed | 0;
  let counter = 1;
  let filled = -WARM_UP_ROUNDS;
  const { deviation } = init;
  while (filled < target.length) {
    const first = (a + b + counter) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + first) | 0;
    const second = (a + b + counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + second) | 0;
    counter = (counter + 2) | 0;
    if (filled < 0) {
      filled += 2;
      continue;
    }
    // A point in the square from −1 to 1; only those inside the circle are taken.
    const x = first * TO_UNIT;
    const y = second * TO_UNIT;
    const square = x * x + y * y;
    if (square >= 1 || square === 0) continue;
    const scale = deviation * Math.sqrt((-2 * Math.log(square)) / square);
    target[filled] = x * scale;
    if (filled + 1 < target.length) target[filled + 1] = y * scale;
    filled += 2;
  }
}
