import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { blocksAt, PrefixIndex } from '../../src/routing/index.ts';
import { keyOfText, textOf } from './prompts.ts';
import type { PromptKey } from '../../src/routing/index.ts';

const TTL_MS = 1_000;

function depthsOf(index: PrefixIndex, key: PromptKey, nowMs: number, maxEndpoints = 64) {
  const depths = new Uint16Array(maxEndpoints);
  const deepest = index.match(key, depths, nowMs);
  assert.equal(deepest, Math.max(...depths));
  return depths;
}

/** Prompts that share beginnings: each continues a part of one before. */
const prompts = fc
  .array(fc.tuple(fc.nat(99), fc.nat(150), fc.integer({ min: 1, max: 120 })), {
    minLength: 1,
    maxLength: 12,
  })
  .map((drafts) => {
    const texts: string[] = [''];
    drafts.forEach(([parent, kept, more], at) => {
      const start = texts[parent % texts.length]!.slice(0, 256 * kept);
      texts.push(start + textOf(at, 256 * more));
    });
    return texts.slice(1).map((text) => keyOfText(text));
  });

interface Step {
  readonly prompt: number;
  readonly slot: number;
  readonly afterMs: number;
}

const steps = fc.array(
  fc.record({ prompt: fc.nat(99), slot: fc.nat(63), afterMs: fc.nat(TTL_MS / 4) }),
  { maxLength: 40 },
);

/** What the index may say at most and must say at least, from all that was inserted. */
function expectedDepth(
  sent: readonly (Step & { atMs: number; key: PromptKey })[],
  { key, slot, sinceMs }: { key: PromptKey; slot: number; sinceMs: number },
): number {
  let marks = 0;
  for (const other of sent) {
    if (other.slot !== slot || other.atMs < sinceMs) continue;
    let common = 0;
    while (
      2 * common < Math.min(key.hashes.length, other.key.hashes.length) &&
      key.hashes[2 * common] === other.key.hashes[2 * common]
    ) {
      common++;
    }
    marks = Math.max(marks, common);
  }
  return marks === 0 ? 0 : blocksAt(marks - 1);
}

test('tells for every endpoint the longest prefix that it was sent lately', () => {
  fc.assert(
    fc.property(prompts, steps, (keys, drafts) => {
      const index = new PrefixIndex({ maxEndpoints: 64, ttlMs: TTL_MS, maxProbes: 10_000 });
      const sent: (Step & { atMs: number; key: PromptKey })[] = [];
      let atMs = 0;
      for (const step of drafts) {
        atMs += step.afterMs;
        const key = keys[step.prompt % keys.length]!;
        const depths = depthsOf(index, key, atMs);
        depths.forEach((depth, slot) => {
          // Half of the time is certain, the whole is the limit.
          const least = expectedDepth(sent, { key, slot, sinceMs: atMs - TTL_MS / 2 });
          const most = expectedDepth(sent, { key, slot, sinceMs: atMs - TTL_MS });
          assert.ok(depth >= least && depth <= most, `${least} <= ${depth} <= ${most}`);
        });
        index.insert(step.slot, key, atMs);
        sent.push({ ...step, atMs, key });
      }
    }),
  );
});

test('within its look-ups it never tells of a prefix that was not sent', () => {
  fc.assert(
    fc.property(prompts, steps, fc.integer({ min: 1, max: 12 }), (keys, drafts, maxProbes) => {
      const index = new PrefixIndex({ maxEndpoints: 64, ttlMs: TTL_MS, maxProbes });
      const sent: (Step & { atMs: number; key: PromptKey })[] = [];
      for (const step of drafts) {
        const key = keys[step.prompt % keys.length]!;
        depthsOf(index, key, 0).forEach((depth, slot) => {
          assert.ok(depth <= expectedDepth(sent, { key, slot, sinceMs: 0 }));
        });
        index.insert(step.slot, key, 0);
        sent.push({ ...step, atMs: 0, key });
      }
    }),
  );
});

test('keeps within its bytes, and forgets the ends of the oldest prompts first', () => {
  const maxBytes = 64 * 1_024;
  const index = new PrefixIndex({ maxEndpoints: 64, maxBytes, maxProbes: 1_000 });
  assert.ok(index.bytes <= maxBytes);
  const keys = Array.from({ length: 100 }, (_, at) => keyOfText(textOf(at, 256 * 40)));
  for (const [at, key] of keys.entries()) index.insert(at % 64, key, 0);
  assert.ok(index.entryCount * 40 <= maxBytes);
  const last = depthsOf(index, keys[99]!, 0);
  assert.equal(last[99 % 64], 40);
  assert.equal(Math.max(...depthsOf(index, keys[0]!, 0)), 0);
  const depths = keys.map((key, at) => depthsOf(index, key, 0)[at % 64]!);
  const cut = depths.findIndex((depth) => depth > 0);
  assert.ok(depths[cut]! <= 40);
  assert.ok(depths.slice(cut + 1).every((depth) => depth === 40));
});

test('an endpoint that lost its cache holds nothing, others keep theirs', () => {
  const index = new PrefixIndex({ maxEndpoints: 64 });
  const key = keyOfText(textOf(1, 256 * 100));
  index.insert(3, key, 0);
  index.insert(40, key, 0);
  index.forget(3);
  const depths = depthsOf(index, key, 0);
  assert.equal(depths[3], 0);
  assert.equal(depths[40], 100);
});

test('what is used again stays, what is not used expires and frees its memory', () => {
  const index = new PrefixIndex({ maxEndpoints: 8, ttlMs: TTL_MS });
  const kept = keyOfText(textOf(1, 256 * 20));
  const dropped = keyOfText(textOf(2, 256 * 20));
  index.insert(0, dropped, 0);
  for (let nowMs = 0; nowMs <= 10 * TTL_MS; nowMs += TTL_MS / 4) {
    assert.equal(depthsOf(index, kept, nowMs, 8)[0], nowMs === 0 ? 0 : 20);
    index.insert(0, kept, nowMs);
  }
  assert.equal(depthsOf(index, dropped, 10 * TTL_MS, 8)[0], 0);
  assert.equal(index.entryCount, 20);
});

test('options outside their rules are refused', () => {
  for (const options of [{ maxBytes: 0 }, { ttlMs: Number.NaN }, { maxProbes: -1 }]) {
    assert.throws(() => new PrefixIndex({ maxEndpoints: 8, ...options }), {
      code: 'invalid_option',
    });
  }
});
