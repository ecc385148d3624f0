// A peer with a certificate that says whatever it likes: what is kept stays bounded, and what is
// not a message is refused by name.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MEMBER_LIMITS, Membership } from '../../src/cluster/index.ts';
import { GossipQueue, updateBytes } from '../../src/cluster/gossip-queue.ts';
import { checkMetadata } from '../../src/cluster/member.ts';
import {
  encodeJoinAnswer,
  encodeMessage,
  encodeView,
  readJoinAnswer,
  readJoiner,
  readMessage,
  readView,
} from '../../src/cluster/messages.ts';
import { createPrng, hasCode } from '../../src/core/index.ts';
import { LOCAL, memberOf, recordOf } from './machines.ts';
import type { MembershipMessage, MemberUpdate } from '../../src/cluster/index.ts';

const SMALL = { ...LOCAL, maxMembers: 50, maxTombstones: 40, maxPendingProbes: 8 };

function machine(): Membership {
  const membership = new Membership(recordOf('self'), SMALL, createPrng(1));
  membership.step({ type: 'merge', from: 'a', members: [memberOf('a'), memberOf('b')] }, 0);
  return membership;
}

test('a flood of invented members, alive and dead, is held to the limits', () => {
  const membership = machine();
  let largest = 0;
  for (let n = 0; n < 5_000; n++) {
    const status = (['up', 'dead', 'left', 'suspect'] as const)[n % 4]!;
    const updates = [{ member: memberOf(`x${n}`, status), by: 'a' }];
    const message: MembershipMessage = { type: 'gossip', updates };
    for (const effect of membership.step({ type: 'message', from: 'a', message }, n)) {
      if (effect.type !== 'send') continue;
      const bytes = effect.message.updates.reduce((sum, update) => sum + updateBytes(update), 0);
      largest = Math.max(largest, bytes);
    }
    membership.step({ type: 'tick' }, n);
    const living = membership.members().filter(({ status: is }) => is !== 'dead').length;
    assert.ok(living <= SMALL.maxMembers, `${living} living`);
    const { news, probes, tombstones } = membership.backlog;
    assert.ok(news <= SMALL.maxMembers + SMALL.maxTombstones, `${news} news`);
    assert.ok(tombstones <= 2 * SMALL.maxTombstones, `${tombstones} tombstones`);
    assert.ok(probes <= 2 * SMALL.maxPendingProbes, `${probes} probes`);
  }
  // One accusation rides along out of turn.
  assert.ok(largest <= 2 * SMALL.maxGossipBytes, `${largest} bytes of news in a message`);
  assert.equal(membership.member('b')?.name, 'b');
});

test('a flood of requests to probe leaves no more errands than allowed, each answered', () => {
  const membership = machine();
  let answers = 0;
  const count = (effects: ReturnType<Membership['step']>) => {
    for (const effect of effects) {
      if (effect.type === 'send' && effect.to === 'a' && effect.message.type === 'nack') answers++;
    }
  };
  for (let seq = 1; seq <= 1_000; seq++) {
    const message: MembershipMessage = { type: 'ping-request', seq, target: 'b', updates: [] };
    count(membership.step({ type: 'message', from: 'a', message }, 0));
    assert.ok(membership.backlog.probes <= 2 * SMALL.maxPendingProbes);
  }
  count(membership.step({ type: 'tick' }, SMALL.probeTimeoutMs));
  assert.equal(answers, SMALL.maxPendingProbes);
});

test('an answer that nobody asked for, or from somebody who was not asked, proves nothing', () => {
  const membership = machine();
  let seq = 0;
  for (const at of [0, 200, 400]) {
    for (const effect of membership.step({ type: 'tick' }, at)) {
      const { type } = effect;
      if (type === 'send' && effect.message.type === 'ping' && effect.to === 'b') {
        seq = effect.message.seq;
      }
    }
  }
  assert.notEqual(seq, 0);
  const message: MembershipMessage = { type: 'ack', seq, updates: [] };
  membership.step({ type: 'message', from: 'stranger', message }, 410);
  membership.step({ type: 'tick' }, 10_000);
  assert.equal(membership.member('b')?.status, 'suspect');
});

test('news goes out in bounded messages, the least often sent first, and then stops', () => {
  const queue = new GossipQueue(1_000);
  const update = (n: number): MemberUpdate => ({ member: memberOf(`member-${n}`), by: 'a' });
  for (let n = 0; n < 100; n++) queue.put(update(n));
  const counts = new Map<string, number>();
  while (queue.size > 0) {
    const taken = queue.take(700, 3);
    const bytes = taken.reduce((sum, news) => sum + updateBytes(news), 0);
    assert.ok(bytes <= 700 && taken.length > 0);
    for (const { member } of taken) counts.set(member.name, (counts.get(member.name) ?? 0) + 1);
    const values = [...counts.values()];
    assert.ok(Math.max(...values) === 1 || counts.size === 100);
  }
  assert.deepEqual(new Set(counts.values()), new Set([3]));
});

test('later news of a name takes the place of earlier news, and counts anew', () => {
  const queue = new GossipQueue(10);
  queue.put({ member: memberOf('a', 'up', 1), by: 'a' });
  queue.take(1_000, 2);
  queue.put({ member: memberOf('a', 'up', 2), by: 'a' });
  assert.equal(queue.size, 1);
  for (let n = 0; n < 2; n++) assert.equal(queue.take(1_000, 2)[0]?.member.incarnation, 2);
  assert.deepEqual(queue.take(1_000, 2), []);
});

test('messages, views and join answers arrive as they were sent', () => {
  const member = {
    ...memberOf('a', 'suspect', 7),
    metadata: { role: 'engine', capacity: 2, engines: ['vllm'], devices: ['cpu', 'gpu-0'] },
  };
  const updates = [{ member, by: 'b' }];
  const messages: MembershipMessage[] = [
    { type: 'ping', seq: 1, incarnation: 5, updates },
    { type: 'ping-request', seq: 2, target: 'c', updates: [] },
    { type: 'ack', seq: 3, updates: [] },
    { type: 'nack', seq: 4, updates },
    { type: 'gossip', updates },
  ];
  for (const message of messages) {
    const spoken = readMessage(encodeMessage(message), 'b');
    assert.deepEqual(spoken, message);
  }
  assert.deepEqual(readView(encodeView([member]), 'b', 10), [member]);
  const answer = { founder: 'a', members: [member] };
  assert.deepEqual(readJoinAnswer(encodeJoinAnswer(answer), 'b', 10), answer);
});

test('whatever arrives is read or refused as invalid, and never crashes', () => {
  const wild = fc.oneof(fc.anything(), fc.array(fc.anything(), { maxLength: 7 }));
  fc.assert(
    fc.property(wild, wild, (body, member) => {
      const update = ['a', member];
      for (const read of [
        () => readMessage(body, 'p'),
        () => readMessage([4, 0, 0, [update]], 'p'),
        () => readView({ members: [member] }, 'p', 10),
        () => readJoinAnswer(body, 'p', 10),
        () => readJoiner({ member }, 'p'),
      ]) {
        try {
          read();
        } catch (error) {
          assert.ok(hasCode(error, 'member_invalid'), String(error));
        }
      }
    }),
  );
});

test('records that break a rule are refused, field by field', () => {
  const good = ['a', 'h:1', '', 5, 1, 1, {}];
  const bad: readonly (readonly [number, unknown])[] = [
    [0, ''],
    [0, 'x'.repeat(64)],
    [1, ''],
    [2, 7],
    [3, -1],
    [3, 0.5],
    [3, MEMBER_LIMITS.maxIncarnation + 1],
    [4, 6],
    [4, 0],
    [5, 3],
    [6, { role: 'x'.repeat(600) }],
    [6, { capacity: Number.NaN }],
    [6, { engines: [1] }],
  ];
  assert.equal(readView({ members: [good] }, 'p', 1).length, 1);
  for (const [at, value] of bad) {
    const members = [good.with(at, value as string)];
    const invalid = (error: unknown) => hasCode(error, 'member_invalid');
    assert.throws(() => readView({ members }, 'p', 1), invalid, `field ${at}: ${String(value)}`);
  }
});

test('a node whose metadata gossip would not carry is told so when it starts', () => {
  const engines = Array.from({ length: 60 }, (_, index) => `engine-${index}`);
  assert.throws(
    () => checkMetadata({ engines }),
    (error) => hasCode(error, 'metadata_too_large'),
  );
});
