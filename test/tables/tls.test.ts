// Tables over real connections: TLS, RPC and the founder's store, three nodes in one process.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { hasCode } from '../../src/core/index.ts';
import { idsOf, noise } from './fleet.ts';
import { startTlsFleet } from './tls-fleet.ts';

test('rows are made, pulled, stepped and ranked over TLS, from any node', async () => {
  await using fleet = await startTlsFleet(3);
  const [first, second, third] = fleet.nodes;
  const dim = 64;
  const table = await second!.service.create('words', { dim });
  const ids = idsOf(5_000);
  const handles = await table.insert(ids);
  const before = await table.pull(handles);

  // Sorted by owner, and on shared memory at both ends, as workers of a trainer have them.
  const owners = table.ownersOf(handles);
  const order = [...owners.keys()].sort((a, b) => owners[a]! - owners[b]!);
  const shared = new Uint32Array(new SharedArrayBuffer(handles.byteLength));
  shared.set(order.flatMap((i) => [handles[2 * i]!, handles[2 * i + 1]!]));
  const { kernels } = third!;
  const floats = ids.length * dim;
  const gradients = kernels.floats(kernels.alloc(floats * 4), floats);
  gradients.set(noise(floats));
  const elsewhere = await third!.service.open('words');
  await elsewhere.push(shared, gradients, { rate: 1 });
  const into = kernels.floats(kernels.alloc(floats * 4), floats);
  await elsewhere.pull(shared, into);
  for (const [i, index] of order.entries()) {
    for (let j = 0; j < dim; j++) {
      const gradient = gradients[i * dim + j]!;
      const step = before[index * dim + j]! - into[i * dim + j]!;
      if (Math.abs(gradient) > 1e-6) assert.ok(Math.abs(step - Math.sign(gradient)) < 1e-3);
    }
  }

  const opened = await first!.service.open('words');
  assert.deepEqual(await opened.names(handles), ids);
  const rows = await opened.pull(handles);
  const query = noise(dim, 9);
  const queries = new Float32Array(floats);
  for (let i = 0; i < ids.length; i++) queries.set(query, i * dim);
  const scores = await opened.score(handles, queries);
  const target = scores[17]!;
  const excluded = [handles.slice(34, 36)];
  const targets = Float32Array.of(target);
  const ranks = await opened.rank({ queries: query, targets, excluded });
  assert.equal(ranks.greater[0], scores.filter((score) => score > target).length);
  assert.equal(ranks.equal[0], scores.filter((score) => score === target).length - 1);
  const [best] = await opened.nearest(rows.slice(0, dim), { k: 1, metric: 'cosine' });
  assert.equal(best?.id, ids[0]);
  assert.equal(await opened.checkpoint(), ids.length);
  await assert.rejects(opened.pull(['unknown']), { code: 'row_unknown' });
  await assert.rejects(opened.pull(Uint32Array.of(0, 9_999)), { code: 'row_out_of_range' });
});

test('when a node stops, its rows fail with its name and the others are served', async () => {
  await using fleet = await startTlsFleet(3);
  const [first, , third] = fleet.nodes;
  const table = await first!.service.create('words', { dim: 8 });
  const ids = idsOf(500);
  const handles = await table.insert(ids);
  const isLost = (id: string) => table.ownerOf(id) === 'node-2';
  const pending = Promise.allSettled(
    Array.from({ length: 20 }, () => table.pull(handles, undefined, { timeoutMs: 5_000 })),
  );
  await third!.stop();
  for (const result of await pending) {
    if (result.status === 'rejected') assert.ok(hasCode(result.reason, 'owner_unreachable'));
  }
  await assert.rejects(table.pull(ids.filter(isLost), undefined, { timeoutMs: 5_000 }), {
    code: 'owner_unreachable',
    message: /^node-2, which owns shard \d+ of table words, is gone$/,
  });
  const kept = ids.filter((id) => !isLost(id));
  assert.equal((await table.pull(kept)).length, kept.length * 8);
});

test('a caller can give up on a pull', async () => {
  await using fleet = await startTlsFleet(2);
  const table = await fleet.nodes[0]!.service.create('words', { dim: 8 });
  const handles = await table.insert(idsOf(50));
  const signal = AbortSignal.abort();
  await assert.rejects(table.pull(handles, undefined, { signal }), { code: 'cancelled' });
});
