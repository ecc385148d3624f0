import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { blocksAt, PromptKeyBuilder } from '../../src/routing/index.ts';
import { keyOfMessages, keyOfText, textOf } from './prompts.ts';
import type { PromptKey } from '../../src/routing/index.ts';

/** Marks at which two keys agree, from the first on. */
function commonMarks(a: PromptKey, b: PromptKey): number {
  let marks = 0;
  const most = Math.min(a.hashes.length, b.hashes.length) / 2;
  while (
    marks < most &&
    a.hashes[2 * marks] === b.hashes[2 * marks] &&
    a.hashes[2 * marks + 1] === b.hashes[2 * marks + 1]
  ) {
    marks++;
  }
  return marks;
}

test('marks agree exactly as far as the texts do', () => {
  const blocks = fc.nat(200);
  fc.assert(
    fc.property(blocks, blocks, fc.nat(255), (common, more, rest) => {
      const start = textOf(1, 256 * common + rest);
      const a = keyOfText(`${start}a${textOf(2, 256 * more)}`);
      const b = keyOfText(`${start}b${textOf(2, 256 * more)}`);
      let expected = 0;
      while (blocksAt(expected) <= common) expected++;
      assert.equal(commonMarks(a, b), expected);
    }),
  );
});

test('a key does not depend on how its text was handed in', () => {
  const builder = new PromptKeyBuilder();
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 700 }), { maxLength: 8 }), (parts) => {
      builder.begin('m');
      for (const part of parts) builder.text(part);
      assert.deepEqual(builder.finish(), keyOfText(parts.join('')));
    }),
  );
});

test('models share no prefixes', () => {
  const text = textOf(1, 2_048);
  assert.equal(commonMarks(keyOfText(text, 'a'), keyOfText(text, 'b')), 0);
});

test('who said something, and where a message ends, is part of the key', () => {
  const text = textOf(1, 300);
  const asked = keyOfMessages(['user', text]);
  assert.equal(commonMarks(asked, keyOfMessages(['system', text])), 0);
  const split = keyOfMessages(['user', text.slice(0, 100)], ['user', text.slice(100)]);
  assert.equal(commonMarks(asked, split), 0);
});

test('every turn of a conversation has its root, and knows what was there before', () => {
  const system = ['system', textOf(1, 1_000)] as const;
  const question = ['user', textOf(2, 500)] as const;
  const answer = ['assistant', textOf(3, 700)] as const;
  const first = keyOfMessages(system, question);
  const second = keyOfMessages(system, question, answer, ['user', 'and?']);
  assert.deepEqual(second.root, first.root);
  assert.equal(commonMarks(first, second), 6 - 1);
  assert.equal(first.historyTokens, 0);
  assert.equal(second.historyTokens, first.tokens - 1);
  const other = keyOfMessages(system, ['user', textOf(4, 500)]);
  assert.notDeepEqual(other.root, first.root);
});

test('a prompt without messages is named by how it begins', () => {
  const start = textOf(1, 1_024);
  assert.deepEqual(keyOfText(`${start}a`).root, keyOfText(`${start}b`).root);
  assert.notDeepEqual(keyOfText('a').root, keyOfText('b').root);
  assert.notDeepEqual(keyOfText('').root, keyOfText('\0').root);
});

test('a prompt of any length has at most 256 marks, and all its tokens', () => {
  const key = keyOfText(textOf(1, 2_000_000));
  assert.equal(key.hashes.length, 2 * 256);
  assert.equal(key.blocks, 4_096);
  assert.equal(key.tokens, 500_000);
  assert.equal(blocksAt(255), 4_096);
  for (let mark = 1; mark < 256; mark++) {
    const step = blocksAt(mark) - blocksAt(mark - 1);
    assert.ok(step === 1 || step / blocksAt(mark) <= 1 / 32, `mark ${mark}`);
  }
});
