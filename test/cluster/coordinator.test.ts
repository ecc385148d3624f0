// Routing by the coordinator and its registry (SEEDS.md, system 1: keep rows and faults).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Coordinator, NodeRegistry } from '../../src/cluster/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';

function threeNodes(): Coordinator {
  const coordinator = new Coordinator({ clock: new SimulatedClock() }, { nodeId: 'node-0' });
  coordinator.registerSelf();
  coordinator.addPeer('127.0.0.1:8081', 'node-1');
  coordinator.addPeer('127.0.0.1:8082', 'node-2');
  return coordinator;
}

const KEYS = Array.from({ length: 300 }, (_, index) => `key-${index}`);

test('the summary line names nodes, healthy nodes, virtual nodes and itself', () => {
  const coordinator = threeNodes();
  coordinator.setPeerHealth('node-2', false);
  const summary = 'cluster[nodes=3 healthy=2 vnodes=450 self=node-0]';
  assert.equal(coordinator.topologySummary(), summary);
  assert.deepEqual([coordinator.clusterSize(), coordinator.healthyCount()], [3, 2]);
});

test('an unhealthy node is skipped, keeps its place, and gets its keys back', () => {
  const coordinator = threeNodes();
  const before = KEYS.map((key) => coordinator.route(key)?.id);
  coordinator.setPeerHealth('node-1', false);
  KEYS.forEach((key, index) => {
    const now = coordinator.route(key)?.id;
    assert.notEqual(now, 'node-1');
    if (before[index] !== 'node-1') assert.equal(now, before[index]);
  });
  coordinator.setPeerHealth('node-1', true);
  assert.deepEqual(
    KEYS.map((key) => coordinator.route(key)?.id),
    before,
  );
});

test('with no healthy node there is no route, and no crash', () => {
  const coordinator = threeNodes();
  for (const { id } of coordinator.registry.allNodes()) coordinator.setPeerHealth(id, false);
  assert.equal(coordinator.route('any'), undefined);
  assert.deepEqual(coordinator.routeMany('any', 2), []);
});

test('routeMany gives distinct healthy nodes, the first of which is route', () => {
  const coordinator = threeNodes();
  for (const key of KEYS) {
    const nodes = coordinator.routeMany(key, 5).map(({ id }) => id);
    assert.equal(new Set(nodes).size, 3);
    assert.equal(nodes[0], coordinator.route(key)?.id);
  }
});

test('adding a peer twice does not double its virtual nodes', () => {
  const coordinator = threeNodes();
  coordinator.addPeer('127.0.0.1:9999', 'node-1');
  assert.equal(coordinator.registry.ring.vnodeCount, 450);
  assert.equal(coordinator.registry.get('node-1')?.addr, '127.0.0.1:9999');
});

test('loads are clamped to [0, 1]; NaN and unknown ids change nothing', () => {
  const { registry } = threeNodes();
  registry.updateLoad('node-1', 7);
  assert.equal(registry.get('node-1')?.load, 1);
  registry.updateLoad('node-1', -1);
  assert.equal(registry.get('node-1')?.load, 0);
  registry.updateLoad('node-1', 0.5);
  registry.updateLoad('node-1', Number.NaN);
  assert.equal(registry.get('node-1')?.load, 0.5);
  registry.updateLoad('ghost', 0.5);
  registry.markHealthy('ghost', false);
  registry.deregister('ghost');
  assert.equal(registry.size, 3);
});

test('plain FNV-1a mode gives the golden routes', () => {
  const registry = new NodeRegistry({ hash: 'fnv1a' });
  for (const id of ['node-a', 'node-b', 'node-c']) {
    registry.register({ id, addr: '', httpAddr: '', healthy: true, load: 0, lastSeenMs: 0 });
  }
  const routes = ['my-request-key', 'user-42', 'req-1', 'stable-request'].map(
    (key) => registry.route(key)?.id,
  );
  assert.deepEqual(routes, ['node-b', 'node-c', 'node-c', 'node-c']);
});

test('an explanation names every member and why it was taken or passed over', () => {
  const coordinator = threeNodes();
  const [first, second] = coordinator.routeMany('user-42', 3);
  coordinator.setPeerHealth(first?.id ?? '', false);
  const { node, candidates } = coordinator.explain('user-42');
  assert.equal(node, second?.id);
  assert.deepEqual(
    candidates.map(({ reason }) => reason),
    ['unhealthy', 'serves the key', 'next in line'],
  );
});

test('listeners hear of changes, and not after they stopped', () => {
  const coordinator = threeNodes();
  let changes = 0;
  const stop = coordinator.onChange(() => changes++);
  coordinator.setPeerHealth('node-1', false);
  coordinator.setPeerHealth('node-1', false);
  coordinator.removePeer('node-1');
  stop();
  coordinator.removePeer('node-2');
  assert.equal(changes, 2);
});
