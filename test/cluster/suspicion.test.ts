// How long a suspicion lasts (Lifeguard, section IV-B) and what makes it shorter or longer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Membership } from '../../src/cluster/index.ts';
import { Suspicion, suspicionRule, suspicionTimeoutMs } from '../../src/cluster/suspicion.ts';
import { createPrng } from '../../src/core/index.ts';
import { LOCAL, memberOf, recordOf } from './machines.ts';

const PAPER = {
  ...LOCAL,
  probeIntervalMs: 1_000,
  suspicionMultiplier: 4,
  suspicionFloorMs: 1,
  suspicionMaxMultiplier: 6,
  suspicionConfirmations: 3,
};

test('it lasts 4 max(1, log10 n) intervals with every confirmation, 6 times that without', () => {
  for (const [members, minMs] of [
    [6, 4_000],
    [10, 4_000],
    [100, 8_000],
    [1_000, 12_000],
  ] as const) {
    const rule = suspicionRule(PAPER, members);
    assert.ok(Math.abs(rule.minMs - minMs) < 1e-6, `${members} members: ${rule.minMs}`);
    assert.equal(suspicionTimeoutMs(rule, 0), rule.maxMs);
    assert.equal(rule.maxMs, 6 * rule.minMs);
    assert.ok(Math.abs(suspicionTimeoutMs(rule, 3) - rule.minMs) < 1e-6);
  }
});

test('each confirmation shortens it, the first the most, and none below the minimum', () => {
  const rule = { minMs: 1_000, maxMs: 6_000, confirmations: 3 };
  const times = [0, 1, 2, 3, 4].map((confirmed) => suspicionTimeoutMs(rule, confirmed));
  assert.deepEqual(times.map(Math.round), [6_000, 3_500, 2_038, 1_000, 1_000]);
});

test('with too few members to confirm, the minimum holds at once', () => {
  for (const members of [2, 3, 4]) {
    const rule = suspicionRule(PAPER, members);
    assert.equal(suspicionTimeoutMs(rule, 0), rule.minMs);
  }
});

test('with just enough members to confirm, one of them may be missed', () => {
  const confirmations = [5, 6, 7].map((members) => suspicionRule(PAPER, members).confirmations);
  assert.deepEqual(confirmations, [2, 3, 3]);
  const none = suspicionRule({ ...PAPER, suspicionConfirmations: 0 }, 2);
  assert.equal(suspicionTimeoutMs(none, 0), none.minMs);
});

test('it outlasts the floor, whatever the interval', () => {
  const rule = suspicionRule({ ...PAPER, probeIntervalMs: 10, suspicionFloorMs: 2_500 }, 10);
  assert.equal(rule.minMs, 2_500);
});

test('an accuser counts once, and only as many as shorten it', () => {
  const suspicion = new Suspicion({ minMs: 1, maxMs: 6, confirmations: 2 }, 'a', 0);
  assert.equal(suspicion.confirm('a'), false);
  assert.equal(suspicion.confirm('b'), true);
  assert.equal(suspicion.confirm('b'), false);
  assert.equal(suspicion.confirm('c'), true);
  assert.equal(suspicion.confirm('d'), false);
});

test('a suspect that nobody hears dies at its deadline; one that speaks is told and spared', () => {
  for (const speaks of [false, true]) {
    const membership = new Membership(recordOf('self'), LOCAL, createPrng(1));
    membership.step({ type: 'merge', from: 'a', members: [memberOf('a'), memberOf('b')] }, 0);
    const accusation = { member: memberOf('a', 'suspect'), by: 'b' };
    const message = { type: 'gossip' as const, updates: [accusation] };
    membership.step({ type: 'message', from: 'b', message }, 0);
    const { minMs } = suspicionRule(LOCAL, 3);
    let diedMs = Infinity;
    let told = 0;
    for (let at = 0; at < 4 * minMs; at += 50) {
      if (speaks) membership.step({ type: 'traffic', from: 'a' }, at);
      for (const effect of membership.step({ type: 'tick' }, at)) {
        const toSuspect = effect.type === 'send' && effect.to === 'a' ? effect.message : undefined;
        if (toSuspect?.updates.some(({ member }) => member.status === 'suspect')) told++;
        const died = effect.type === 'changed' && effect.member.status === 'dead';
        if (died && effect.member.name === 'a') diedMs = at;
      }
    }
    assert.ok(told > 0, 'the suspect hears of the suspicion');
    if (speaks) assert.equal(diedMs, Infinity);
    else assert.ok(diedMs >= minMs && diedMs < minMs + 1_000, `dead after ${diedMs} ms`);
  }
});
