// The simulated network: delays, partitions, breaks and losses, all repeatable from a seed. What
// its faults do to nodes is in `test/testing/`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPrng, hasCode, silentLogger } from '../../src/core/index.ts';
import { PeerHost } from '../../src/peer/index.ts';
import { MemoryNetwork, SimulatedClock } from '../../src/testing/index.ts';
import type { MemoryNetworkOptions } from '../../src/testing/index.ts';

const code = (expected: string) => (error: unknown) => hasCode(error, expected);
const ANY = { host: '10.0.0.1', port: 0 };

async function createFleet(options: MemoryNetworkOptions, seed = 7) {
  const clock = new SimulatedClock();
  const network = new MemoryNetwork({ clock, prng: createPrng(seed) }, options);
  const hosts: PeerHost[] = [];
  for (const [stream, name] of ['node-a', 'node-b'].entries()) {
    const transport = network.transport(name);
    const prng = createPrng(seed, stream + 1);
    const host = new PeerHost({ transport, clock, log: silentLogger, prng });
    host.handle('echo', ({ body }) => ({ body }));
    const { port } = await host.listen(ANY);
    for (const other of hosts) host.learn(other.name, `10.0.0.1:${port - 1}`);
    hosts.push(host);
    hosts[0]?.learn(name, `10.0.0.1:${port}`);
  }
  const [a, b] = hosts as [PeerHost, PeerHost];
  const echo = (timeoutMs = 5000) => a.call('node-b', 'echo', { body: 1 }, { timeoutMs });
  const stop = () => clock.resolve(Promise.all(hosts.map((host) => host.stop())));
  return { clock, network, a, b, echo, stop };
}

test('time passes as the delay says', async () => {
  const { clock, echo, stop } = await createFleet({ delayMs: 20 });
  await clock.resolve(echo());
  const before = clock.now();
  await clock.resolve(echo());
  assert.equal(clock.now() - before, 40);
  await stop();
});

test('what a partition loses is sent again, and arrives once it is healed', async () => {
  const { clock, network, echo, stop } = await createFleet({});
  await clock.resolve(echo());
  network.partition('node-a', 'node-b');
  const call = echo(5000);
  await clock.run(1000);
  network.heal('node-a', 'node-b');
  assert.equal((await clock.resolve(call)).body, 1);
  network.partition('node-b', 'node-a');
  await assert.rejects(clock.resolve(echo(500)), code('deadline_exceeded'));
  network.heal('node-b', 'node-a');
  await stop();
});

test('a dial across a partition times out', async () => {
  const { clock, network, echo, stop } = await createFleet({});
  network.partition('node-b', 'node-a');
  await assert.rejects(clock.resolve(echo(60_000)), code('peer_unreachable'));
  network.heal('node-b', 'node-a');
  await stop();
});

test('a break wakes callers at both ends, and the next call dials again', async () => {
  const { clock, network, a, b, echo, stop } = await createFleet({});
  b.handle('wait', () => new Promise(() => {}));
  await clock.resolve(echo());
  const waiting = a.call('node-b', 'wait', { body: null });
  waiting.catch(() => {});
  await clock.run(10);
  network.break('node-a', 'node-b');
  await assert.rejects(clock.resolve(waiting), code('peer_disconnected'));
  assert.equal(b.peers().length, 0);
  assert.equal((await clock.resolve(echo())).body, 1);
  await stop();
});

test('loss costs time and nothing else', async () => {
  const { clock, network, echo, stop } = await createFleet({ loss: 0.05, jitterMs: 3, cut: true });
  for (let i = 0; i < 100; i++) assert.equal((await clock.resolve(echo())).body, 1);
  const { sent, lost, retransmitted } = network.counters;
  assert.ok(lost > 0 && retransmitted >= lost && sent > 400, `${lost} of ${sent} lost`);
  await stop();
});

test('a way can be shaped for one direction', async () => {
  const { clock, network, echo, stop } = await createFleet({ delayMs: 5 });
  await clock.resolve(echo());
  network.shape({ delayMs: 100 }, { from: 'node-b', to: 'node-a' });
  const before = clock.now();
  await clock.resolve(echo());
  assert.equal(clock.now() - before, 105);
  await stop();
});

test('equal seeds replay the same history', async () => {
  const history = async () => {
    const { clock, echo, stop } = await createFleet({ loss: 0.1, jitterMs: 5, cut: true });
    const times: number[] = [];
    for (let i = 0; i < 30; i++) {
      await clock.resolve(echo().catch(() => {}));
      times.push(clock.now());
    }
    await stop();
    return times;
  };
  assert.deepEqual(await history(), await history());
});

test('simulated timers run in order of time, then of scheduling, until cancelled', () => {
  const clock = new SimulatedClock();
  const ran: string[] = [];
  clock.schedule(5, () => ran.push(`b${clock.now()}`));
  clock.schedule(3, () => ran.push(`a${clock.now()}`));
  clock.schedule(5, () => ran.push(`c${clock.now()}`));
  clock.schedule(4, () => ran.push('never')).cancel();
  const repeat = clock.repeat(2, () => {
    ran.push(`r${clock.now()}`);
    if (clock.now() >= 6) repeat.cancel();
  });
  clock.advance(20);
  assert.deepEqual(ran, ['r2', 'a3', 'r4', 'b5', 'c5', 'r6']);
  assert.equal(clock.pending, 0);
  assert.equal(clock.now(), 20);
});
