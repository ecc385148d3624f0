// What a node does reaches every router, and what is wrong does not (SEEDS.md, system 2).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeLoads, LOAD, loadsOf, readLoad } from '../../src/cluster/load-messages.ts';
import { listenersOf } from '../../src/cluster/load-relays.ts';
import { hasCode } from '../../src/core/index.ts';
import { loadOf } from '../load/loads.ts';
import { LoadFleet } from './load-fleet.ts';
import type { NodeLoad } from '../../src/load/index.ts';
import type { LoadNode } from './load-fleet.ts';

const known = (node: LoadNode, name: string) => node.coordinator.load.of(name)?.record;
const counters = (node: LoadNode) => node.coordinator.load.counters;

test('within a second every router of 20 has the record of every node', async () => {
  await using fleet = await LoadFleet.of(20, { seed: 1 });
  fleet.nodes.forEach(({ probe }, i) => {
    probe.set({ cpu: i / 20, inFlight: i });
  });
  fleet.gossip();
  await fleet.run(1_000);
  for (const node of fleet.nodes) {
    for (const { name, probe } of fleet.nodes) {
      assert.equal(known(node, name)?.cpu, probe.sample().cpu, `${name} at ${node.name}`);
    }
  }
  fleet.at('n3').probe.set({ cpu: 0.9, inFlight: 7 });
  await fleet.run(1_050);
  for (const node of fleet.nodes) assert.equal(known(node, 'n3')?.inFlight, 7);
  const { registry } = fleet.at('n0').coordinator;
  assert.ok(registry.get('n3')!.load > 0.5, 'the registry shows it smoothed');
});

test('with a fifth of the packets lost every record still arrives', async () => {
  await using fleet = await LoadFleet.of(20, { seed: 2 });
  fleet.sim.network.shape({ loss: 0.2 });
  fleet.gossip();
  await fleet.run(5_000);
  for (const node of fleet.nodes) {
    for (const { name } of fleet.nodes) assert.ok(known(node, name), `${name} at ${node.name}`);
  }
});

test('more members than are told directly: a second later the others know too', async () => {
  await using fleet = await LoadFleet.of(30, { seed: 3 });
  fleet.gossip();
  await fleet.run(1_500);
  fleet.nodes.forEach(({ probe }, i) => {
    probe.set({ inFlight: 100 + i });
  });
  // Each samples within a second, and who hears of it passes it on within another.
  await fleet.run(2_000);
  for (const node of fleet.nodes) {
    for (const { name, probe } of fleet.nodes) {
      assert.equal(known(node, name)?.inFlight, probe.sample().inFlight, `${name} at ${node.name}`);
    }
  }
  const messages = fleet.nodes.map(({ coordinator: { load } }) => load.counters);
  assert.deepEqual(
    messages.filter(({ refused, expired }) => refused + expired > 0),
    [],
  );
});

test('in a large fleet one silent member does not cut off those it speaks to', async () => {
  await using fleet = await LoadFleet.of(12, { seed: 3, gossip: { maxDirectPushes: 2 } });
  fleet.gossip();
  await fleet.run(3_000);
  fleet.at('n4').gossip.stop();
  await fleet.run(30_000);
  for (const node of fleet.nodes) {
    if (node.name === 'n4') continue;
    for (const { name } of fleet.nodes) {
      if (name !== 'n4') assert.ok(known(node, name), `${name} at ${node.name}`);
    }
  }
});

test('in a fleet of any size everybody hears of everybody, also when one is silent', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), fc.nat(), (count, drawn) => {
      const names = Array.from({ length: count }, (_, i) => `n${i}`).sort();
      const silent = names[drawn % count]!;
      const told = new Map(names.map((name) => [name, listenersOf(name, names)]));
      for (const name of names) {
        const first = told.get(name)!;
        assert.ok(first.length <= Math.ceil(Math.sqrt(2 * count)));
        const relays = first.filter((each) => each !== silent);
        const reached = new Set([name, ...first, ...relays.flatMap((each) => told.get(each)!)]);
        assert.equal(reached.size, count, `${name} of ${count} with ${silent} silent`);
      }
    }),
  );
});

test('a node that stops to measure itself is unknown 5 s later, not idle', async () => {
  await using fleet = await LoadFleet.of(3, { seed: 4 });
  fleet.at('n1').probe.set({ cpu: 0.5 });
  fleet.gossip();
  await fleet.run(1_500);
  fleet.at('n1').gossip.stop();
  await fleet.run(4_000);
  assert.ok(known(fleet.at('n0'), 'n1'));
  await fleet.run(2_500);
  for (const name of ['n0', 'n2']) {
    assert.equal(known(fleet.at(name), 'n1'), undefined);
    assert.equal(fleet.at(name).coordinator.load.of('n1')?.cpu, undefined);
    assert.equal(counters(fleet.at(name)).expired, 1);
  }
  assert.equal(fleet.at('n0').coordinator.registry.get('n1')?.healthy, true);
});

test('a node that hangs is forgotten, and known again when it is back', async () => {
  await using fleet = await LoadFleet.of(4, { seed: 5 });
  fleet.gossip();
  await fleet.run(1_500);
  fleet.sim.network.freeze('n1');
  await fleet.run(20_000);
  assert.equal(known(fleet.at('n0'), 'n1'), undefined);
  fleet.sim.network.thaw('n1');
  await fleet.until((node) => known(node, 'n1') !== undefined, 30_000);
});

test('a wall clock that is set back, running or over a restart, stops nobody', async () => {
  await using fleet = await LoadFleet.of(3, { seed: 6 });
  fleet.gossip();
  await fleet.run(1_500);
  fleet.sim.clock.jumpWall(-86_400_000);
  fleet.at('n1').probe.set({ inFlight: 5 });
  await fleet.run(1_100);
  assert.equal(known(fleet.at('n0'), 'n1')?.inFlight, 5);
  fleet.at('n1').gossip.stop();
  fleet.sim.crash('n1');
  await fleet.run(500);
  const back = await fleet.join('n1');
  back.probe.set({ inFlight: 6 });
  back.gossip.start();
  await fleet.until((node) => known(node, 'n1')?.inFlight === 6, 5_000);
});

test('records that break a rule are refused, counted and logged; others go on', async () => {
  await using fleet = await LoadFleet.of(3, { seed: 7 });
  fleet.at('n1').probe.set({ cpu: 0.25 });
  fleet.gossip();
  await fleet.run(1_500);
  const { host, cluster } = fleet.at('n1');
  const own = known(fleet.at('n0'), 'n1')!;
  const later = own.timestampMs + 1e6;
  const bad: Partial<NodeLoad>[] = [
    { cpu: Number.NaN },
    { cpu: Number.POSITIVE_INFINITY },
    { cpu: -0.1 },
    { cpu: 1.5 },
    { memoryUsed: Number.NEGATIVE_INFINITY },
    { inFlight: 0.5 },
    { queued: -1 },
    { timestampMs: Number.NaN },
    { incarnation: 2 ** 53 },
    { node: '' },
  ];
  const wrong = bad.map((fields) => ({ ...own, timestampMs: later, ...fields }));
  for (const record of wrong) host.sendControl('n0', LOAD, encodeLoads([record]));
  // One good record in the middle of them is taken in.
  const good = { ...own, timestampMs: own.timestampMs + 1, queued: 3 };
  host.sendControl('n0', LOAD, encodeLoads([wrong[0]!, good, wrong[1]!]));
  for (const body of ['x', 7, null, {}, Array(1_000).fill(encodeLoads([own]))]) {
    host.sendControl('n0', LOAD, body);
  }
  await fleet.run(50);
  const n0 = fleet.at('n0');
  assert.equal(counters(n0).refused, bad.length + 2 + 5);
  assert.deepEqual(known(n0, 'n1'), good);
  assert.equal(n0.warnings.filter((text) => text.includes('refused')).length, 1);
  assert.equal(cluster.member('n0')?.status, 'up');
  fleet.at('n2').probe.set({ inFlight: 9 });
  await fleet.run(1_100);
  assert.equal(known(n0, 'n2')?.inFlight, 9);
});

test('an older record, or one of an earlier life, replaces nothing', async () => {
  await using fleet = await LoadFleet.of(3, { seed: 8 });
  fleet.gossip();
  await fleet.run(2_500);
  const n0 = fleet.at('n0');
  const own = known(n0, 'n1')!;
  const { older, refused } = counters(n0);
  const send = (record: NodeLoad) =>
    fleet.at('n1').host.sendControl('n0', LOAD, encodeLoads([record]));
  send(own);
  send({ ...own, timestampMs: own.timestampMs - 1, inFlight: 99 });
  send({ ...own, incarnation: own.incarnation - 1, timestampMs: own.timestampMs + 1 });
  await fleet.run(10);
  assert.deepEqual(known(n0, 'n1'), own);
  assert.deepEqual([counters(n0).older, counters(n0).refused], [older + 2, refused + 1]);
});

test('nobody speaks for strangers, for the removed, or for this node itself', async () => {
  await using fleet = await LoadFleet.of(3, { seed: 9 });
  fleet.gossip();
  await fleet.run(1_500);
  const n0 = fleet.at('n0');
  const last = known(n0, 'n2')!;
  fleet.at('n2').gossip.stop();
  await fleet.sim.settle(fleet.at('n2').cluster.leave());
  await fleet.sim.until(() => n0.coordinator.clusterSize() === 2);
  assert.equal(n0.coordinator.load.of('n2'), undefined);
  const { stored, refused } = counters(n0);
  const far = last.timestampMs + 1e6;
  const lies = [
    { ...last, timestampMs: far },
    loadOf('stranger', { timestampMs: far }),
    loadOf('n0', { incarnation: 2 ** 50, timestampMs: far }),
  ];
  fleet.at('n1').host.sendControl('n0', LOAD, encodeLoads(lies));
  await fleet.run(5);
  assert.deepEqual([counters(n0).stored, counters(n0).refused], [stored, refused + 2]);
  assert.notEqual(known(n0, 'n0')?.incarnation, 2 ** 50);
  fleet.sim.crash('n2');
  const back = await fleet.join('n2');
  back.gossip.start();
  await fleet.sim.until(() => known(n0, 'n2') !== undefined, 5_000);
});

test('a machine that cannot be measured tells nothing, and its node goes on', async () => {
  await using fleet = await LoadFleet.of(2, { seed: 10 });
  const { probe } = fleet.at('n1');
  probe.set({ cpu: Number.NaN });
  fleet.gossip();
  await fleet.run(2_000);
  assert.equal(known(fleet.at('n0'), 'n1'), undefined);
  assert.equal(fleet.at('n1').warnings.length, 1);
  probe.set({ cpu: 0.5 });
  await fleet.run(1_100);
  assert.equal(known(fleet.at('n0'), 'n1')?.cpu, 0.5);
});

const ratio = fc.double({ min: 0, max: 1, noNaN: true });
const count = fc.nat(1e6);
const size = fc.double({ min: 0, max: 2 ** 53 - 1, noNaN: true });
const plain = { noNullPrototype: true };
const record: fc.Arbitrary<NodeLoad> = fc.record(
  {
    node: fc.string({ minLength: 1, maxLength: 63 }),
    incarnation: fc.nat(),
    timestampMs: size,
    cpu: ratio,
    memoryUsed: size,
    memoryMax: size,
    heapUsed: size,
    heapMax: size,
    eventLoopDelayMs: size,
    eventLoopUtilization: ratio,
    inFlight: count,
    queued: count,
    gpus: fc.array(fc.record({ utilization: ratio, memoryUsed: size, memoryMax: size }, plain)),
    engine: fc.record(
      { running: count, waiting: count, kvCacheUsage: ratio, cacheHitRate: ratio },
      { ...plain, requiredKeys: [] },
    ),
  },
  { ...plain, requiredKeys: Object.keys(loadOf('x')) as never },
);

test('records arrive as they were sent; what was not measured stays absent', () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 4 }), (records) => {
      const read = loadsOf(encodeLoads(records)).map(readLoad);
      assert.deepEqual(read, records);
    }),
  );
});

test('whatever arrives is read or refused by name, and never crashes', () => {
  fc.assert(
    fc.property(fc.oneof(fc.anything(), fc.array(fc.anything(), { maxLength: 15 })), (body) => {
      try {
        readLoad(body);
        for (const part of loadsOf(body)) readLoad(part);
      } catch (error) {
        assert.ok(hasCode(error, 'load_invalid'), String(error));
      }
    }),
  );
});
