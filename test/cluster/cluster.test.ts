// The driver on real peers over a simulated network: joining, routing that follows membership,
// drain, leave, failure, restart, and names that are taken.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CLUSTER_DEFAULTS,
  Cluster,
  Coordinator,
  MEMBERSHIP_PRESETS,
} from '../../src/cluster/index.ts';
import { Dials } from '../../src/cluster/dials.ts';
import { createPrng, hasCode, silentLogger } from '../../src/core/index.ts';
import { PeerHost } from '../../src/peer/index.ts';
import { SimulatedFleet } from '../../src/testing/index.ts';
import type { ClusterEvent, ClusterHost, ClusterOptions } from '../../src/cluster/index.ts';

interface Node {
  readonly name: string;
  readonly address: string;
  readonly cluster: Cluster;
  readonly coordinator: Coordinator;
  readonly events: ClusterEvent[];
}

const KEYS = Array.from({ length: 40 }, (_, index) => `key-${index}`);

/** Nodes of a simulated fleet with their clusters. */
class Nodes implements AsyncDisposable {
  readonly fleet = new SimulatedFleet();
  readonly nodes = new Map<string, Node>();
  #addresses = 0;

  static async of(...names: readonly string[]): Promise<Nodes> {
    const nodes = new Nodes();
    for (const name of names) await nodes.join(name);
    await nodes.agree(...names);
    return nodes;
  }

  async create(name: string, options: Partial<ClusterOptions> = {}): Promise<Node> {
    const host = await this.fleet.start(name);
    const address = this.nodes.get(name)?.address ?? `10.0.0.${++this.#addresses}:7400`;
    const clock = this.fleet.network.clock(name);
    const coordinator = new Coordinator({ clock }, { nodeId: name, bindAddr: address });
    const node: Node = {
      name,
      address,
      coordinator,
      events: [],
      cluster: new Cluster(
        {
          host,
          coordinator,
          clock,
          log: silentLogger,
          prng: createPrng(this.nodes.size + 1),
        },
        { address, ...options },
      ),
    };
    node.cluster.watch((event) => node.events.push(event));
    this.nodes.set(name, node);
    return node;
  }

  async join(name: string, options: Partial<ClusterOptions> = {}): Promise<Node> {
    const [seed] = [...this.nodes.values()].filter((node) => node.name !== name);
    const node = await this.create(name, options);
    await this.fleet.settle(node.cluster.start(seed === undefined ? [] : [seed.address]));
    return node;
  }

  at(name: string): Node {
    return this.nodes.get(name)!;
  }

  /** Runs until the named nodes hold exactly each other for healthy. */
  agree(...names: readonly string[]): Promise<void> {
    return this.until(names, (node) => {
      const healthy = node.coordinator.registry.healthyNodes().map(({ id }) => id);
      return healthy.join() === names.toSorted().join();
    });
  }

  until(names: readonly string[], holds: (node: Node) => boolean): Promise<void> {
    return this.fleet.until(() => names.every((name) => holds(this.at(name))), 30_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { cluster } of this.nodes.values()) cluster.stop();
    await this.fleet[Symbol.asyncDispose]();
  }
}

function routed({ coordinator }: Node): Set<string | undefined> {
  return new Set(KEYS.map((key) => coordinator.route(key)?.id));
}

test('nodes that joined through one seed know each other and who founded the cluster', async () => {
  await using nodes = await Nodes.of('a', 'b', 'c', 'd');
  for (const { cluster, coordinator } of nodes.nodes.values()) {
    assert.equal(cluster.founder, 'a');
    assert.deepEqual(
      cluster.members().map(({ name, status }) => `${name} ${status}`),
      ['a up', 'b up', 'c up', 'd up'],
    );
    assert.equal(coordinator.topologySummary().slice(0, 32), 'cluster[nodes=4 healthy=4 vnodes');
  }
});

test('what a node says of itself reaches everybody: HTTP address, metadata, capacity', async () => {
  await using nodes = await Nodes.of('a', 'b', 'c');
  const b = nodes.at('b');
  b.cluster.announceHttp('10.0.0.2:8080');
  b.cluster.describe({ role: 'engine', engines: ['vllm'], capacity: 4 });
  await nodes.until(['a', 'c'], ({ coordinator, cluster }) => {
    const info = coordinator.registry.get('b');
    const known = info?.httpAddr === '10.0.0.2:8080' && info.capacity === 4;
    return known && cluster.member('b')?.metadata.role === 'engine';
  });
});

test('a crashed node is routed around, stays listed as dead, and is welcome again', async () => {
  await using nodes = await Nodes.of('a', 'b', 'c');
  nodes.fleet.crash('b');
  await nodes.agree('a', 'c');
  const { cluster, coordinator, events } = nodes.at('a');
  assert.equal(cluster.member('b')?.status, 'dead');
  assert.equal(coordinator.registry.get('b')?.healthy, false);
  assert.deepEqual(routed(nodes.at('a')), new Set(['a', 'c']));
  assert.deepEqual(
    events.filter(({ member }) => member.name === 'b').map((event) => event.member.status),
    ['joining', 'up', 'suspect', 'dead'],
  );
  await nodes.join('b');
  await nodes.agree('a', 'b', 'c');
});

test('a call that waits for a node fails when it is found dead, not at the deadline', async () => {
  await using nodes = await Nodes.of('a', 'b', 'c');
  const { fleet } = nodes;
  fleet.host('b').handle('work', () => new Promise(() => {}));
  const begun = fleet.clock.now();
  const work = fleet.host('a').call('b', 'work', { body: null }, { timeoutMs: 600_000 });
  const failed = assert.rejects(work, (error) => {
    assert.ok(hasCode(error, 'peer_disconnected'));
    assert.match(error.message, /it was found dead/);
    return true;
  });
  fleet.network.freeze('b');
  await fleet.settle(failed);
  assert.ok(fleet.clock.now() - begun < 5_000);
  assert.equal(nodes.at('a').cluster.member('b')?.status, 'dead');
  await fleet.clock.run(3_000);
  fleet.network.thaw('b');
  await nodes.agree('a', 'b', 'c');
  fleet.host('b').handle('again', () => ({ body: 7 }));
  const { body } = await fleet.settle(fleet.host('a').call('b', 'again', { body: null }));
  assert.equal(body, 7);
});

test('a node that left has no connections to members any more', async () => {
  await using nodes = await Nodes.of('a', 'b', 'c');
  await nodes.fleet.settle(nodes.at('b').cluster.leave());
  await nodes.fleet.until(() =>
    ['a', 'c'].every((name) => nodes.fleet.host(name).peer('b') === undefined),
  );
  assert.notEqual(nodes.fleet.host('a').peer('c'), undefined);
});

test('a drained node gets no requests until it is undrained', async () => {
  await using nodes = await Nodes.of('a', 'b', 'c');
  const b = nodes.at('b');
  b.cluster.drain();
  assert.equal(routed(b).has('b'), false);
  await nodes.agree('a', 'c');
  for (const name of ['a', 'b', 'c']) {
    const { coordinator } = nodes.at(name);
    assert.deepEqual(routed(nodes.at(name)), new Set(['a', 'c']));
    for (const key of KEYS) {
      assert.ok(coordinator.routeMany(key, 3).every(({ id }) => id !== 'b'));
    }
  }
  assert.equal(nodes.at('a').cluster.member('b')?.status, 'leaving');
  b.cluster.undrain();
  await nodes.agree('a', 'b', 'c');
});

test('a node that leaves is forgotten at once; watchers hear each step, typed', async () => {
  await using nodes = await Nodes.of('a', 'b', 'c');
  const before = nodes.at('a').events.length;
  await nodes.fleet.settle(nodes.at('b').cluster.leave());
  await nodes.until(['a', 'c'], ({ coordinator }) => coordinator.clusterSize() === 2);
  const steps = nodes.at('a').events.slice(before);
  assert.deepEqual(
    steps.map(({ type, member }) => `${type} ${member.name} ${member.status}`),
    ['status b leaving', 'removed b left'],
  );
  assert.equal(nodes.at('a').cluster.members().length, 2);
});

test('a node that hangs for 2 s stays routable everywhere', async () => {
  await using nodes = await Nodes.of('a', 'b', 'c', 'd');
  nodes.fleet.network.freeze('b');
  await nodes.fleet.clock.run(2_000);
  nodes.fleet.network.thaw('b');
  await nodes.fleet.clock.run(3_000);
  for (const { events } of nodes.nodes.values()) {
    assert.deepEqual(
      events.filter(({ member }) => member.status === 'dead'),
      [],
    );
  }
  await nodes.agree('a', 'b', 'c', 'd');
});

test('the founder that restarts without seeds finds its fleet again', async () => {
  await using nodes = await Nodes.of('a', 'b', 'c');
  nodes.fleet.crash('a');
  await nodes.agree('b', 'c');
  const { cluster } = await nodes.create('a', { founder: 'a' });
  await nodes.fleet.settle(cluster.start());
  await nodes.agree('a', 'b', 'c');
});

test('a node that comes back with its clock set back outranks its earlier life', async () => {
  await using nodes = await Nodes.of('a', 'b', 'c');
  const before = nodes.at('a').cluster.member('b')!.incarnation;
  nodes.fleet.crash('b');
  nodes.fleet.clock.jumpWall(-86_400_000);
  await nodes.join('b');
  await nodes.until(['a', 'c'], ({ cluster, coordinator }) => {
    const { incarnation, status } = cluster.member('b')!;
    const healthy = coordinator.registry.get('b')?.healthy === true;
    return healthy && status === 'up' && incarnation > before;
  });
});

test('a name whose holder lives elsewhere is refused; a dead holder’s is given away', async () => {
  await using nodes = await Nodes.of('a', 'b', 'c');
  const record = { ...nodes.at('b').cluster.self, address: '10.0.0.99:7400' };
  const { name, httpAddress, incarnation, metadata } = record;
  const member = [name, record.address, httpAddress, incarnation + 1, 0, 0, metadata];
  const ask = () => nodes.fleet.host('b').call('a', 'cluster.join', { body: { member } });
  await assert.rejects(nodes.fleet.settle(ask()), (error) => hasCode(error, 'name_conflict'));
  assert.equal(nodes.at('a').cluster.member('b')?.address, nodes.at('b').address);
});

test('the name of a holder that no longer answers is given away at once', async () => {
  await using nodes = await Nodes.of('a', 'b', 'c');
  const { network, clock } = nodes.fleet;
  const earlier = nodes.at('a').cluster.member('b')!;
  network.crash('b');
  network.restart('b');
  // The same name at another address, before anybody found the first one dead.
  const parts = { transport: network.transport('b'), clock: network.clock('b') };
  const host = new PeerHost({ ...parts, log: silentLogger });
  await host.listen({ host: '10.0.0.99', port: 7400 });
  host.learn('a', nodes.at('a').address);
  const member = [earlier.name, '10.0.0.99:7400', '', earlier.incarnation + 5, 1, 1, {}];
  await clock.resolve(host.call('a', 'cluster.join', { body: { member } }), 3_000);
  const { address, status } = nodes.at('a').cluster.member('b')!;
  assert.deepEqual([address, status], ['10.0.0.99:7400', 'up']);
  await clock.resolve(host.stop());
});

test('a fleet that is full lets nobody else in, and says so', async () => {
  const full = { membership: { maxMembers: 2 } };
  await using nodes = new Nodes();
  await nodes.join('a', full);
  await nodes.join('b', full);
  await assert.rejects(nodes.join('c', full), (error) => hasCode(error, 'join_refused'));
  assert.equal(nodes.at('a').cluster.members().length, 2);
});

test('a silent seed is passed over; without any the join says what the first said', async () => {
  await using nodes = await Nodes.of('a', 'b');
  const c = await nodes.create('c');
  await nodes.fleet.settle(c.cluster.start(['10.0.9.9:7400', nodes.at('b').address]));
  await nodes.agree('a', 'b', 'c');
  const d = await nodes.create('d');
  const alone = nodes.fleet.settle(d.cluster.start(['10.0.9.9:7400']));
  await assert.rejects(alone, (error) => hasCode(error, 'peer_unreachable', 'join_refused'));
});

test('garbage from a peer is refused and changes nothing', async () => {
  await using nodes = await Nodes.of('a', 'b');
  const host = nodes.fleet.host('b');
  for (const body of [null, [], [9], [0, -1], [4, 0, 0, 2, []], { members: [] }]) {
    host.sendControl('a', 'membership', body);
  }
  const view = host.call('a', 'cluster.exchange', { body: { members: 'all' } });
  await assert.rejects(nodes.fleet.settle(view), (error) => hasCode(error, 'member_invalid'));
  await nodes.fleet.clock.run(1_000);
  await nodes.agree('a', 'b');
});

test('options are checked at construction', async () => {
  await using nodes = new Nodes();
  const broken = {
    a: { probeIntervalMs: 0 },
    b: { probeTimeoutMs: MEMBERSHIP_PRESETS.local.probeIntervalMs + 1 },
    c: { suspicionMaxMultiplier: 0.5 },
    d: { gossipMembers: Number.NaN },
  };
  for (const [name, membership] of Object.entries(broken)) {
    const made = nodes.create(name, { membership });
    await assert.rejects(made, (error) => hasCode(error, 'invalid_option'));
  }
});

test('calls between two nodes are probes enough: as long as they go on, nobody pings', async () => {
  await using nodes = await Nodes.of('a', 'b');
  const [a, b] = [nodes.fleet.host('a'), nodes.fleet.host('b')];
  b.handle('work', () => ({ body: null }));
  const sent = () => a.peer('b')!.metrics.control.sentMessages;
  await nodes.fleet.clock.run(2_000);
  const count = async (busy: boolean) => {
    const before = sent();
    for (let turn = 0; turn < 100; turn++) {
      if (busy) await nodes.fleet.settle(a.call('b', 'work', { body: null }));
      await nodes.fleet.clock.run(100);
    }
    return sent() - before;
  };
  const idle = await count(false);
  const busy = await count(true);
  // Ten beats are left of it, and the answer to a ping now and then.
  assert.ok(idle > 2 * busy && busy <= 20, `${idle} messages idle, ${busy} busy`);
});

test('a start that fails leaves nothing behind', async () => {
  await using nodes = await Nodes.of('a', 'b');
  const c = await nodes.create('c');
  const alone = nodes.fleet.settle(c.cluster.start(['10.0.9.9:7400']));
  await assert.rejects(alone);
  await nodes.fleet.clock.run(5_000);
  assert.deepEqual(c.events, []);
  assert.equal(nodes.at('a').cluster.member('c'), undefined);
});

test('news for many strangers dials a bounded number at once', async () => {
  let dials = 0;
  const never = Promise.withResolvers<{ name: string }>();
  const host = {
    connect: () => {
      dials++;
      return never.promise;
    },
    sendControl: () => false,
  } as unknown as ClusterHost;
  const outbox = new Dials({ host, log: silentLogger }, 'membership');
  for (let n = 0; n < 1_000; n++) outbox.send(`n${n % 200}`, `10.1.0.${n % 200}:1`, { n });
  assert.equal(dials, CLUSTER_DEFAULTS.maxDials);
});
