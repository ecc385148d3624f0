// Requests that are sent somewhere: by a key, within a bound on what each node has, or by a
// balancer; and that `explain` tells what `dispatch` does.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Coordinator } from '../../src/cluster/index.ts';
import { BALANCER_NAMES, cpuSelector } from '../../src/load/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { loadOf } from '../load/loads.ts';
import type { DispatchedRequest } from '../../src/cluster/index.ts';
import type { NodeLoad, RoutingViewOptions } from '../../src/load/index.ts';

function fleetOf(count: number, routing?: RoutingViewOptions) {
  const clock = new SimulatedClock();
  const options = { nodeId: 'n0', ...(routing !== undefined && { routing }) };
  const coordinator = new Coordinator({ clock }, options);
  for (let i = 0; i < count; i++) coordinator.addPeer(`10.0.0.${i}:7400`, `n${i}`);
  let stamp = 0;
  const hear = (node: string, fields: Partial<NodeLoad>) =>
    coordinator.load.publish(loadOf(node, { ...fields, timestampMs: ++stamp }));
  return { clock, coordinator, hear };
}

const idOf = (request: DispatchedRequest | undefined) => request?.node.id;

function countsOf(ids: readonly (string | undefined)[]): number[] {
  const counts = new Map<string | undefined, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return [...counts.values()];
}

test('without load a key goes to its owner, and again once it has settled', () => {
  const { coordinator } = fleetOf(5);
  for (let i = 0; i < 200; i++) {
    const request = coordinator.dispatch(`key-${i}`)!;
    assert.equal(request.node.id, coordinator.route(`key-${i}`)?.id);
    request.settle(true, 5);
  }
});

test('a burst of 1000 requests with one key spreads within the bound, between two samples', () => {
  const { coordinator } = fleetOf(10);
  const sent = Array.from({ length: 1000 }, () => coordinator.dispatch('hot')!);
  assert.ok(Math.max(...countsOf(sent.map(idOf))) <= Math.ceil(1.25 * 100));
  for (const request of sent) request.settle(true, 1);
  assert.equal(idOf(coordinator.dispatch('hot')), coordinator.route('hot')?.id);
});

for (const name of BALANCER_NAMES) {
  test(`${name}: a burst of 1000 requests between two samples spreads over all`, () => {
    const { coordinator, hear } = fleetOf(10);
    for (let i = 0; i < 10; i++) hear(`n${i}`, { cpu: i === 0 ? 0.1 : 0.2 });
    const ids = Array.from({ length: 1000 }, () => idOf(coordinator.balance(name)));
    const counts = countsOf(ids);
    assert.equal(counts.length, 10);
    assert.ok(Math.max(...counts) <= 200, `${counts}`);
  });
}

test('what a full node passes on goes clockwise, to the same node for the same key', () => {
  for (let i = 0; i < 100; i++) {
    const key = `key-${i}`;
    const { coordinator, hear } = fleetOf(8);
    const [owner, next] = coordinator.routeMany(key, 2).map(({ id }) => id);
    for (const { id } of coordinator.registry.allNodes()) {
      hear(id, { inFlight: id === owner ? 1_000 : 1 });
    }
    assert.equal(idOf(coordinator.dispatch(key)), next, key);
    assert.equal(idOf(coordinator.dispatch(key)), next, 'and the second one too');
  }
});

test('an overloaded node is passed by while others can serve, and named so', () => {
  const { coordinator, hear } = fleetOf(4);
  const owner = coordinator.route('user-42')!.id;
  for (const { id } of coordinator.registry.allNodes()) {
    hear(id, id === owner ? { memoryUsed: 95, memoryMax: 100 } : { cpu: 0.3 });
  }
  assert.notEqual(idOf(coordinator.dispatch('user-42')), owner);
  const { node, candidates } = coordinator.explain('user-42');
  assert.notEqual(node, owner);
  assert.deepEqual([candidates[0]?.node, candidates[0]?.reason], [owner, 'overloaded']);
  assert.equal(idOf(coordinator.dispatch('user-42', [owner])), owner, 'nobody else can');
  for (const { id } of coordinator.registry.allNodes()) hear(id, { cpu: 1 });
  assert.ok(coordinator.dispatch('user-42'), 'when all are overloaded all serve');
});

test('requests that an engine has from elsewhere count like those of its node', () => {
  const { coordinator, hear } = fleetOf(2);
  hear('n0', { inFlight: 1, engine: { running: 30, waiting: 10 } });
  hear('n1', { inFlight: 2 });
  assert.equal(coordinator.load.of('n0')?.outstanding, 40);
  const ids = Array.from({ length: 20 }, (_, i) => idOf(coordinator.dispatch(`key-${i}`)));
  assert.deepEqual([...new Set(ids)], ['n1']);
});

test('a request counts until it is settled, once; `using` settles one that was forgotten', () => {
  const { clock, coordinator } = fleetOf(1);
  const inFlight = () => coordinator.load.of('n0')?.outstanding;
  const request = coordinator.dispatch('a')!;
  assert.equal(inFlight(), 1);
  clock.advance(20);
  request.settle(true);
  request.settle(false);
  request[Symbol.dispose]();
  assert.equal(inFlight(), 0);
  const attempt = () => {
    using _request = coordinator.balance('peak-ewma');
    assert.equal(inFlight(), 1);
    throw new Error('the request failed');
  };
  assert.throws(attempt, /the request failed/);
  assert.equal(inFlight(), 0);
});

test('of the members that can serve only those are tried; of none that is healthy, none', () => {
  const { coordinator } = fleetOf(6);
  const among = ['n1', 'n4', 'nobody'];
  const ids = Array.from({ length: 60 }, (_, i) => idOf(coordinator.dispatch(`k-${i}`, among)));
  assert.deepEqual([...new Set(ids)].sort(), ['n1', 'n4']);
  coordinator.setPeerHealth('n1', false);
  assert.equal(idOf(coordinator.balance('random', among)), 'n4');
  coordinator.setPeerHealth('n4', false);
  assert.equal(coordinator.dispatch('key', among), undefined);
  assert.equal(coordinator.balance('random', among), undefined);
});

test('what room is measured by can be chosen', () => {
  const { coordinator, hear } = fleetOf(2, { selector: cpuSelector });
  hear('n0', { cpu: 0.2, heapUsed: 90, heapMax: 100 });
  hear('n1', { cpu: 0.4, heapUsed: 10, heapMax: 100 });
  assert.equal(idOf(coordinator.balance('adaptive')), 'n0');
});

const step = fc.oneof(
  fc.record({ kind: fc.constant('send' as const), key: fc.nat(20) }),
  fc.record({ kind: fc.constant('settle' as const), at: fc.nat(50) }),
  fc.record({ kind: fc.constant('health' as const), node: fc.nat(5), healthy: fc.boolean() }),
  fc.record({
    kind: fc.constant('hear' as const),
    node: fc.nat(5),
    cpu: fc.constantFrom(0, 0.5, 0.97),
    inFlight: fc.nat(20),
  }),
);

test('an explanation is what dispatch does, whatever happened before', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { coordinator, hear } = fleetOf(6);
      const sent: DispatchedRequest[] = [];
      for (const each of steps) {
        if (each.kind === 'settle') sent.splice(each.at % (sent.length + 1), 1)[0]?.settle(true, 1);
        if (each.kind === 'health') coordinator.setPeerHealth(`n${each.node}`, each.healthy);
        if (each.kind === 'hear') {
          const { node, cpu, inFlight } = each;
          hear(`n${node}`, { cpu, inFlight });
        }
        if (each.kind !== 'send') continue;
        const key = `key-${each.key}`;
        const { node, candidates } = coordinator.explain(key);
        const request = coordinator.dispatch(key);
        assert.equal(request?.node.id, node);
        if (request === undefined) {
          assert.ok(candidates.every(({ reason }) => reason === 'unhealthy'));
          continue;
        }
        sent.push(request);
        const taken = candidates.findIndex(({ reason }) => reason === 'serves the key');
        assert.equal(candidates[taken]?.node, node);
        assert.ok((candidates[taken]?.inFlight ?? 0) < (candidates[taken]?.cap ?? 0));
        const passed = candidates.slice(0, taken).map(({ reason }) => reason);
        assert.ok(!passed.includes('next in line'), `${passed}`);
      }
    }),
  );
});
