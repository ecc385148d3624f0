// Fleets of membership machines: who is found dead, who is spared, who comes back, and how soon.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MEMBERSHIP_PRESETS } from '../../src/cluster/index.ts';
import { Machines, memberOf } from './machines.ts';
import type { Change } from './machines.ts';

const SEEDS = Array.from({ length: 20 }, (_, index) => index + 1);

function statusOf(machines: Machines, observer: string, name: string): string | undefined {
  return machines.at(observer).member(name)?.status;
}

function saidDead({ changes }: Machines, from = 0): readonly Change[] {
  return changes.slice(from).filter(({ member }) => member.status === 'dead');
}

function others({ names }: Machines, name: string): string[] {
  return names.filter((other) => other !== name);
}

test('a silent crash is seen by all: 10 members within 3 s on local, 100 within 8 s on lan', () => {
  for (const [count, preset, limitMs, seeds] of [
    [10, 'local', 3_000, SEEDS],
    [100, 'lan', 8_000, [1, 2]],
  ] as const) {
    for (const seed of seeds) {
      const machines = Machines.of(count, seed, MEMBERSHIP_PRESETS[preset]);
      machines.run(3_000);
      machines.crash('m1');
      const observers = others(machines, 'm1');
      const allSee = () => observers.every((name) => statusOf(machines, name, 'm1') === 'dead');
      machines.until(allSee, limitMs);
      assert.ok(
        saidDead(machines).every(({ member }) => member.name === 'm1'),
        `seed ${seed}`,
      );
    }
  }
});

test('a stall of 2 s with 5 % of the messages lost kills nobody, on local and lan', () => {
  for (const preset of ['local', 'lan'] as const) {
    for (const seed of SEEDS) {
      const machines = Machines.of(10, seed, MEMBERSHIP_PRESETS[preset]);
      machines.loss = 0.05;
      machines.stall('m3', 2_000);
      machines.run(10_000);
      assert.deepEqual(saidDead(machines), [], `${preset}, seed ${seed}`);
      assert.equal(machines.upAt('m0').length, 10);
    }
  }
});

test('who wrongly counts as dead hears of it, refutes, and is up again everywhere', () => {
  for (const seed of SEEDS) {
    const machines = Machines.of(5, seed);
    machines.stall('m2', 8_000);
    machines.until(() => statusOf(machines, 'm0', 'm2') === 'dead', 8_000);
    const { incarnation } = machines.at('m0').member('m2')!;
    machines.until(() => machines.names.every((name) => machines.upAt(name).length === 5), 20_000);
    assert.ok(machines.at('m0').member('m2')!.incarnation > incarnation, `seed ${seed}`);
    assert.ok(machines.at('m2').awareness >= 0);
  }
});

test('one broken path between two members is bridged by the others', () => {
  const machines = Machines.of(5, 1);
  machines.cut = (from, to) => [from, to].sort().join() === 'm1,m2';
  const mark = machines.changes.length;
  machines.run(60_000);
  const accused = machines.changes.slice(mark).filter(({ member }) => member.status !== 'up');
  assert.deepEqual(accused, []);
});

test('a member whose answers are all lost trusts itself less, and recovers its trust', () => {
  const machines = Machines.of(5, 1);
  machines.cut = (_, to) => to === 'm1';
  machines.run(1_500);
  const deaf = machines.at('m1').awareness;
  assert.ok(deaf >= 3, `awareness ${deaf}`);
  assert.equal(machines.at('m0').awareness, 0);
  machines.cut = () => false;
  machines.until(() => machines.at('m1').awareness === 0, 60_000);
});

test('a late event loop raises awareness and gives everybody the time back', () => {
  const machines = Machines.of(3, 1);
  machines.stall('m0', 60_000);
  machines.run(60_000);
  assert.ok(machines.at('m0').awareness >= 5);
  machines.run(500);
  assert.deepEqual(
    saidDead(machines).filter(({ observer }) => observer === 'm0'),
    [],
  );
});

test('a broken link is probed at once: whoever is gone is suspected before the next round', () => {
  const options = { ...MEMBERSHIP_PRESETS.wan, beatIntervalMs: 60_000 };
  const machines = Machines.of(2, 1, options);
  machines.run(5_000);
  machines.crash('m1');
  machines.step('m0', { type: 'disconnected', name: 'm1' });
  const spanMs = 2.5 * options.probeTimeoutMs;
  machines.until(() => statusOf(machines, 'm0', 'm1') === 'suspect', spanMs + 20);
});

test('whoever was heard from within the interval is not probed', () => {
  const machines = Machines.of(2, 1);
  machines.run(1_000);
  const before = machines.sent;
  for (let at = 0; at < 10_000; at += 50) {
    machines.step('m0', { type: 'traffic', from: 'm1' });
    machines.step('m1', { type: 'traffic', from: 'm0' });
    machines.run(50);
  }
  // One word a second of each, and now and then an exchange.
  assert.ok(machines.sent - before <= 2 * 10 + 6, `${machines.sent - before} messages`);
});

test('drain is seen by all, is lifted by all, and is not undone by a suspicion', () => {
  const machines = Machines.of(4, 1);
  machines.step('m1', { type: 'declare', status: 'leaving' });
  const all = (status: string) => () =>
    machines.names.every((name) => statusOf(machines, name, 'm1') === status);
  machines.until(all('leaving'), 2_000);
  machines.stall('m1', 1_500);
  machines.until(() => statusOf(machines, 'm0', 'm1') === 'suspect', 1_500);
  assert.equal(machines.at('m0').member('m1')?.declared, 'leaving');
  machines.until(all('leaving'), 5_000);
  machines.step('m1', { type: 'declare', status: 'up' });
  machines.until(all('up'), 2_000);
});

test('a member that leaves is gone at once, is nobody’s dead, and can come back', () => {
  const machines = Machines.of(10, 1);
  machines.step('m1', { type: 'declare', status: 'left' });
  machines.crash('m1');
  machines.run(10);
  for (const name of others(machines, 'm1')) {
    assert.equal(machines.at(name).members().length, 9);
    assert.equal(statusOf(machines, name, 'm1'), 'left');
  }
  machines.run(20_000);
  assert.deepEqual(saidDead(machines), []);
  machines.start('m1', { seed: 'm0' });
  machines.until(() => machines.names.every((name) => machines.upAt(name).length === 10), 3_000);
});

test('a member that a liar says has left, or is dead, contradicts and is back everywhere', () => {
  for (const status of ['left', 'dead'] as const) {
    const machines = Machines.of(6, 1);
    const lie = { ...machines.at('m2').self, status };
    const message = { type: 'gossip' as const, updates: [{ member: lie, by: 'm2' }] };
    machines.step('m1', { type: 'message', from: 'm3', message });
    assert.equal(statusOf(machines, 'm1', 'm2'), status);
    const back = () => machines.names.every((name) => machines.upAt(name).length === 6);
    machines.run(100);
    machines.until(back, 5_000);
    machines.run(5_000);
    assert.ok(back());
  }
});

test('a member outdoes what its earlier life said, also at the same incarnation', () => {
  for (const lead of [0, 1, 5]) {
    const machines = Machines.of(5, 1);
    // Its last word misses m0, by which it comes back.
    machines.cut = (from, to) => to === 'm0' || from === 'm0';
    machines.step('m1', { type: 'declare', status: 'leaving' });
    machines.run(300);
    machines.crash('m1');
    machines.cut = () => false;
    const { incarnation } = machines.at('m2').member('m1')!;
    assert.equal(statusOf(machines, 'm0', 'm1'), 'up');
    assert.equal(statusOf(machines, 'm2', 'm1'), 'leaving');
    machines.start('m1', { incarnation: incarnation - 1 - lead });
    machines.step('m1', { type: 'merge', from: 'm0', members: [memberOf('m0')] });
    assert.equal(machines.at('m1').self.incarnation, incarnation - lead);
    machines.until(() => machines.names.every((name) => machines.upAt(name).length === 5), 3_000);
  }
});

test('a restart under the same name is up again, also with the clock set back', () => {
  for (const incarnation of [undefined, 3]) {
    for (const rest of [0, 500, 5_000]) {
      const machines = Machines.of(4, 1);
      machines.run(1_000);
      machines.crash('m1');
      machines.run(rest);
      const before = machines.at('m0').member('m1')!.incarnation;
      machines.start('m1', { seed: 'm2', ...(incarnation !== undefined && { incarnation }) });
      const allUp = () =>
        machines.names.every((name) => {
          const again = machines.at(name).member('m1')!.incarnation > before;
          return again && machines.upAt(name).length === 4;
        });
      machines.until(allUp, 3_000);
      machines.run(10_000);
      assert.ok(allUp());
    }
  }
});

test('two halves that were cut off, and buried each other, grow together again', () => {
  for (const seed of SEEDS.slice(0, 5)) {
    const machines = Machines.of(6, seed);
    const side = (name: string) => Number(name.slice(1)) % 2;
    machines.cut = (from, to) => side(from) !== side(to);
    machines.until(() => machines.names.every((name) => machines.upAt(name).length === 3), 30_000);
    machines.run(30_000);
    machines.cut = () => false;
    const mark = machines.changes.length;
    machines.until(() => machines.names.every((name) => machines.upAt(name).length === 6), 60_000);
    machines.run(5_000);
    assert.deepEqual(saidDead(machines, mark), [], `seed ${seed}`);
  }
});

test('the last of a fleet finds nobody else, says nothing, and stays itself', () => {
  const machines = Machines.of(3, 1, { ...MEMBERSHIP_PRESETS.local, deadKeptMs: 20_000 });
  machines.crash('m1');
  machines.crash('m2');
  machines.until(() => machines.at('m0').members().length === 1, 60_000);
  const { sent } = machines;
  machines.run(60_000);
  assert.equal(machines.sent, sent);
  assert.deepEqual(machines.upAt('m0'), ['m0']);
});

test('two nodes of one name do not drown the others in their dispute', () => {
  const machines = Machines.of(3, 1);
  const rival = { ...machines.at('m1').self, address: 'elsewhere:7400' };
  const before = machines.at('m1').self.incarnation;
  for (let at = 0; at < 2_000; at += 10) {
    const member = { ...rival, incarnation: machines.at('m1').self.incarnation + 1 };
    machines.step('m1', { type: 'merge', from: 'm0', members: [member] });
    machines.run(10);
  }
  const raised = machines.at('m1').self.incarnation - before;
  assert.ok(raised <= 2 * (2_000 / MEMBERSHIP_PRESETS.local.probeIntervalMs + 1), `${raised}`);
});
