// What a test says of a bug that is put in on purpose: it is found, and as what it is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Subject } from './history.ts';

/** A mutation and the invariants that it may break. */
export type Found = readonly [mutation: string, invariant: RegExp];

/** One test for each: an invariant breaks within so many seeds. */
export function testFound(subject: Subject, found: readonly Found[], seeds: number): void {
  for (const [mutation, invariant] of found) {
    test(`with ${mutation} an invariant breaks within ${seeds} seeds`, async () => {
      assert.ok(subject.mutations.includes(mutation));
      for (let seed = 1; seed <= seeds; seed++) {
        const { violation } = await subject.simulate({ seed, mutation });
        if (violation === undefined) continue;
        assert.match(violation.invariant, invariant, `seed ${seed}`);
        return;
      }
      assert.fail('nothing was found');
    });
  }
}
