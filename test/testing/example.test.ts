// The example of docs/testing.md.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { SimulatedFleet } from '../../src/testing/index.ts';

test('a counter answers again after a crash', async () => {
  await using fleet = await SimulatedFleet.of(['client', 'counter'], { seed: 42 });
  const client = fleet.host('client');
  const serve = () => {
    let total = 0;
    fleet.host('counter').handle('add', ({ body }) => {
      total += Number(body);
      return { body: total };
    });
  };
  const add = (body: number) => client.call('counter', 'add', { body }, { timeoutMs: 2000 });

  serve();
  assert.equal((await fleet.settle(add(2))).body, 2);

  // The request arrives, the answer does not: the caller cannot know.
  fleet.network.partition('counter', 'client');
  await assert.rejects(fleet.settle(add(3)), { code: 'deadline_exceeded' });
  fleet.network.heal('counter', 'client');
  assert.equal((await fleet.settle(add(1))).body, 6);

  // The process dies, its machine resets the connection, and another process takes its place.
  const waiting = add(1);
  fleet.crash('counter', { resetAfterMs: 50 });
  await assert.rejects(fleet.settle(waiting), { code: 'peer_disconnected' });
  await fleet.start('counter');
  serve();
  assert.equal((await fleet.settle(add(1))).body, 1);
});

test('docs/testing.md shows the example above', () => {
  const guide = path.join(import.meta.dirname, '../../docs/testing.md');
  const [, block = ''] = readFileSync(guide, 'utf8').split(/```(?:ts\n)?/);
  const example = block.slice(block.indexOf("test('"));
  assert.ok(example.length > 500);
  assert.ok(readFileSync(import.meta.filename, 'utf8').includes(example));
});
