// The bytes of the protocol do not change by accident: what the code says now is what the
// transcripts beside this file hold.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { playScenario, readTranscript, renderTranscript, SCENARIOS } from './scenarios.ts';

const HINT =
  'the protocol changed: if that is wanted, raise the version where docs/protocol.md asks for ' +
  'it, and run node test/transcripts/scenarios.ts';

for (const [name, scenario] of Object.entries(SCENARIOS)) {
  test(`the transcript of ${name} stands: ${scenario.title}`, async () => {
    const file = path.join(import.meta.dirname, `${name}.txt`);
    const expected = readFileSync(file, 'utf8');
    const said = await playScenario(scenario);
    assert.equal(renderTranscript(scenario.title, said), expected, HINT);
    const ways = new Map<string, Buffer>();
    for (const { from, to, bytes } of said) {
      const way = `${from} > ${to}`;
      ways.set(way, Buffer.concat([ways.get(way) ?? Buffer.alloc(0), bytes]));
    }
    assert.deepEqual(readTranscript(expected), ways, HINT);
  });
}

test('each transcript has its scenario', () => {
  const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.txt'));
  assert.deepEqual(
    files.map((name) => name.replace('.txt', '')).sort(),
    Object.keys(SCENARIOS).sort(),
  );
});
