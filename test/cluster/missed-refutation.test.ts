// A refutation is gossip, and gossip may miss somebody: nobody takes a member for dead without
// having asked it, and a member contradicts an accusation as often as it hears it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Membership } from '../../src/cluster/index.ts';
import { createPrng } from '../../src/core/index.ts';
import { LOCAL, memberOf, recordOf } from './machines.ts';
import type { MembershipEffect, MembershipOptions } from '../../src/cluster/index.ts';

/** Nobody is probed in turn, so what is asked is asked because of the suspicion. */
const NO_ROUNDS: MembershipOptions = {
  ...LOCAL,
  probeIntervalMs: 60_000,
  suspicionMultiplier: 0.001,
  suspicionFloorMs: 2_000,
};

function machine(name: string, others: readonly string[]): Membership {
  const membership = new Membership(recordOf(name), NO_ROUNDS, createPrng(1));
  membership.step({ type: 'declare', status: 'up' }, 0);
  const members = others.map((other) => memberOf(other));
  membership.step({ type: 'merge', from: others[0]!, members }, 0);
  return membership;
}

/** Lets time pass; what the machine wanted done, and when. */
function run(membership: Membership, toMs: number): (readonly [number, MembershipEffect])[] {
  const done: (readonly [number, MembershipEffect])[] = [];
  for (let at = membership.nextTickAt(); at <= toMs; at = membership.nextTickAt()) {
    for (const effect of membership.step({ type: 'tick' }, at)) done.push([at, effect]);
  }
  return done;
}

const isPingTo = (name: string, effect: MembershipEffect) =>
  effect.type === 'send' && effect.to === name && effect.message.type === 'ping';

test('who missed a refutation hears it from the member itself before the suspicion ends', () => {
  const observer = machine('a', ['b', 'c']);
  run(observer, 70_000);
  const updates = [{ member: memberOf('b', 'suspect'), by: 'c' }];
  observer.step({ type: 'message', from: 'c', message: { type: 'gossip', updates } }, 70_000);
  // The second opinion that a small fleet asks for at once gets no answer in time.
  const effects = run(observer, 73_000);
  assert.equal(observer.member('b')?.status, 'suspect', 'not dead while an answer is awaited');
  const asked = effects.filter(([, effect]) => isPingTo('b', effect)).length;
  assert.ok(asked <= 1, `asked ${asked} times`);
  const refutation = { member: memberOf('b', 'up', 1_001), by: 'b' };
  const ack = { type: 'ack', seq: 1, updates: [refutation] } as const;
  observer.step({ type: 'message', from: 'b', message: ack }, 73_500);
  run(observer, 90_000);
  assert.equal(observer.member('b')?.status, 'up');
});

test('a member contradicts an accusation that it had refuted before', () => {
  const accused = machine('b', ['a', 'c']);
  const updates = [{ member: memberOf('b', 'suspect', accused.self.incarnation), by: 'c' }];
  const ping = { type: 'ping', seq: 7, incarnation: 1_000, updates } as const;
  accused.step({ type: 'message', from: 'c', message: ping }, 100);
  const { incarnation } = accused.self;
  assert.ok(incarnation > updates[0]!.member.incarnation);
  // Let the news be told to its end, so that only the accusation can bring it up again.
  run(accused, 30_000);
  const effects = accused.step({ type: 'message', from: 'a', message: ping }, 30_000);
  const told = effects.flatMap((effect) =>
    effect.type === 'send' && effect.to === 'a' ? effect.message.updates : [],
  );
  assert.ok(
    told.some(({ member }) => member.name === 'b' && member.incarnation === incarnation),
    'the answer carries the refutation',
  );
  assert.equal(accused.self.incarnation, incarnation, 'without another one');
});
