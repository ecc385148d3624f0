// Which account of a member counts (SWIM, section 4.2), in whatever order accounts arrive.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasEnded, isRoutable, Membership, outranks } from '../../src/cluster/index.ts';
import { createPrng } from '../../src/core/index.ts';
import { LOCAL, memberOf, recordOf } from './machines.ts';
import type { Member, MemberStatus } from '../../src/cluster/index.ts';

const STATUSES: readonly MemberStatus[] = ['joining', 'up', 'leaving', 'suspect', 'dead', 'left'];

const accounts = fc.array(
  fc.record({
    name: fc.constantFrom('a', 'b', 'c'),
    status: fc.constantFrom(...STATUSES),
    incarnation: fc.integer({ min: 1, max: 4 }),
    by: fc.constantFrom('a', 'b', 'c', 'd'),
  }),
  { maxLength: 24 },
);

function machine(options = LOCAL): Membership {
  return new Membership(recordOf('self'), options, createPrng(1));
}

function tell(membership: Membership, member: Member, { by = 'd', at = 0 } = {}): void {
  const message = { type: 'gossip' as const, updates: [{ member, by }] };
  membership.step({ type: 'message', from: 'd', message }, at);
}

function facts(membership: Membership): string[] {
  const others = membership.view().filter(({ name }) => name !== 'self');
  return others.map(({ name, status, incarnation }) => `${name} ${status} ${incarnation}`).sort();
}

test('a later incarnation wins; within one, up gives way to suspect, dead, left', () => {
  const ordered = STATUSES.map((status) => memberOf('a', status, 1));
  ordered.push(memberOf('a', 'joining', 2));
  ordered.forEach((later, i) => {
    ordered.forEach((earlier, j) => {
      assert.equal(outranks(later, earlier), i > j);
    });
  });
});

test('requests go to who is up or only suspected, never to who is joining or leaving', () => {
  const routable = STATUSES.filter((status) => isRoutable(memberOf('a', status)));
  assert.deepEqual(routable, ['up', 'suspect']);
  const leaving = { ...memberOf('a', 'suspect'), declared: 'leaving' as const };
  assert.equal(isRoutable(leaving), false);
});

test('views that heard the same accounts agree, in whatever order and however often', () => {
  fc.assert(
    fc.property(accounts, fc.infiniteStream(fc.nat()), (list, draws) => {
      const one = machine();
      for (const { by, ...said } of list) tell(one, { ...memberOf('x'), ...said }, { by });
      const shuffled = list.map((account) => ({ account, key: draws.next().value as number }));
      shuffled.sort((a, b) => a.key - b.key);
      const other = machine();
      for (const { account } of [...shuffled, ...shuffled.slice(0, 5)]) {
        const { by, ...said } = account;
        tell(other, { ...memberOf('x'), ...said }, { by });
      }
      assert.deepEqual(facts(other), facts(one));
    }),
  );
});

test('what is believed of a member only ever moves to a later account', () => {
  fc.assert(
    fc.property(accounts, (list) => {
      const membership = machine();
      for (const { by, ...said } of list) {
        const before = new Map(membership.view().map((member) => [member.name, member]));
        tell(membership, { ...memberOf('x'), ...said }, { by });
        for (const member of membership.view()) {
          const earlier = before.get(member.name);
          if (earlier !== undefined) assert.equal(outranks(earlier, member), false);
        }
      }
    }),
  );
});

test('a removed incarnation never comes back, not even after it was forgotten', () => {
  const options = { ...LOCAL, deadKeptMs: 10_000 };
  const steps = fc.array(
    fc.oneof(
      accounts.map((list) => ({ type: 'accounts' as const, list })),
      fc.integer({ min: 1, max: 9_000 }).map((ms) => ({ type: 'wait' as const, ms })),
    ),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(steps, fc.boolean(), (list, whole) => {
      const membership = machine(options);
      const removed = new Map<string, { incarnation: number; at: number }>();
      let at = 0;
      const look = () => {
        for (const { name, status, incarnation } of membership.view()) {
          const last = removed.get(name);
          const gone = last !== undefined && at - last.at < options.deadKeptMs;
          if (!hasEnded(status)) assert.ok(!gone || incarnation > last.incarnation, name);
          else if ((last?.incarnation ?? 0) <= incarnation) removed.set(name, { incarnation, at });
        }
      };
      for (const step of list) {
        if (step.type === 'wait') {
          at += step.ms;
          membership.step({ type: 'tick' }, at);
          look();
          continue;
        }
        for (const { by, ...said } of step.list) {
          const member = { ...memberOf('x'), ...said };
          if (whole) membership.step({ type: 'merge', from: 'd', members: [member] }, at);
          else tell(membership, member, { by, at });
          look();
        }
      }
    }),
  );
});

test('a whole view does not bury a member that lives here: it is suspected and can refute', () => {
  const membership = machine();
  tell(membership, memberOf('a', 'up', 5));
  const [effect] = membership.step(
    { type: 'merge', from: 'b', members: [memberOf('a', 'dead', 5)] },
    0,
  );
  assert.equal(effect?.type === 'changed' && effect.member.status, 'suspect');
  tell(membership, memberOf('a', 'up', 6));
  assert.equal(membership.member('a')?.status, 'up');
});
