// A short fuzz run with each test run: one fixed seed, one new one. A failure names its seed and
// place; `node test/fuzz/run.ts --seed N` plays it again.
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { fuzz, summaryOf } from './run.ts';

const FRAMES = 20_000;

test('hostile frames from a fixed seed harm neither decoders nor other peers', async (t) => {
  t.diagnostic(summaryOf(await fuzz({ seed: 1, frames: FRAMES })));
});

test('hostile frames from a new seed harm neither decoders nor other peers', async (t) => {
  const seed = randomInt(2 ** 32 - 1);
  t.diagnostic(`seed ${seed}`);
  t.diagnostic(summaryOf(await fuzz({ seed, frames: FRAMES })));
});
