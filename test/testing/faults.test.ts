// Every fault of the simulated network, as nodes of the peer layer see it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../src/core/index.ts';
import { SimulatedFleet } from '../../src/testing/index.ts';
import type { MemoryNetworkOptions } from '../../src/testing/index.ts';

const A = 'node-a';
const B = 'node-b';

const code =
  (...expected: string[]) =>
  (error: unknown) =>
    hasCode(error, ...expected);

/** Two connected nodes; `node-b` echoes, and notes the control messages that reach it. */
async function createPair(network: MemoryNetworkOptions = {}, seed = 1) {
  const fleet = await SimulatedFleet.of([A, B], { seed, network });
  const beats: unknown[] = [];
  const [a, b] = [fleet.host(A), fleet.host(B)];
  b.handle('echo', ({ body }) => ({ body }));
  a.handle('echo', ({ body }) => ({ body }));
  b.handle('wait', () => new Promise(() => {}));
  b.onControl('beat', (body) => beats.push(body));
  const echo = (body: unknown = 1, timeoutMs = 5000) => a.call(B, 'echo', { body }, { timeoutMs });
  await fleet.settle(echo());
  return { fleet, a, b, beats, echo };
}

for (const independentStreams of [false, true]) {
  const what = independentStreams ? 'independent streams' : 'one order';

  test(`loss, duplicates and late packets change no byte and no order: ${what}`, async () => {
    const { fleet, a, b, echo } = await createPair({
      jitterMs: 5,
      loss: 0.1,
      duplication: 0.1,
      reordering: 0.2,
      cut: true,
      independentStreams,
    });
    await using _ = fleet;
    const tag = a.peer(B)!.tag(7n);
    const heard = b.peer(A)!.tag(7n);
    const sent = Array.from({ length: 100 }, (_, i) => Buffer.alloc(1 + i * 131, i));
    const calls = sent.map((_, i) => echo(i, 50_000));
    const sending = sent.map((bytes) => tag.send(bytes));
    const messages: Uint8Array[] = [];
    const receive = async () => {
      for (const _ of sent) messages.push(await heard.receive());
    };
    await fleet.settle(Promise.all([receive(), ...sending]), 100_000);
    messages.forEach((bytes, i) => void assert.ok(Buffer.from(bytes).equals(sent[i]!), `${i}`));
    const answers = await fleet.settle(Promise.all(calls), 100_000);
    assert.deepEqual(
      answers.map(({ body }) => body),
      sent.map((_, i) => i),
    );
    const { lost, duplicated, reordered, retransmitted } = fleet.network.counters;
    assert.ok(Math.min(lost, duplicated, reordered, retransmitted) > 0);
  });
}

test('a lost packet stalls its link, or where streams are independent only its own', async () => {
  const passed = async (independentStreams: boolean) => {
    const { fleet, a, beats, echo } = await createPair({ independentStreams });
    await using _ = fleet;
    a.sendControl(B, 'beat', 0);
    await fleet.until(() => beats.length === 1);
    // The call is lost; what is sent after it on another stream is not.
    fleet.network.shape({ loss: 1 }, { from: A, to: B });
    const call = echo();
    await fleet.clock.run(0);
    fleet.network.shape({ loss: 0 }, { from: A, to: B });
    a.sendControl(B, 'beat', 1);
    await fleet.clock.run(100);
    const before = beats.length;
    await fleet.settle(call);
    assert.equal(beats.length, 2);
    return before;
  };
  assert.equal(await passed(false), 1);
  assert.equal(await passed(true), 2);
});

test('a loss that lasts breaks the link at the end that sends; a later call redials', async () => {
  const { fleet, b, echo } = await createPair({ linkTimeoutMs: 3000 });
  await using _ = fleet;
  fleet.network.shape({ loss: 1 });
  const start = fleet.clock.now();
  await assert.rejects(fleet.settle(echo(1, 60_000)), code('peer_disconnected'));
  const lasted = fleet.clock.now() - start;
  assert.ok(lasted >= 3000 && lasted < 6000, `${lasted} ms`);
  assert.equal(b.peers().length, 1, 'the other end, which sent nothing, knows nothing');
  fleet.network.shape({ loss: 0 });
  assert.equal((await fleet.settle(echo(2))).body, 2);
});

test('a partition of one direction: its heartbeats stop, those of the other arrive', async () => {
  const { fleet, a, b, beats, echo } = await createPair();
  await using _ = fleet;
  const heard: unknown[] = [];
  a.onControl('pulse', (body) => heard.push(body));
  fleet.network.partition(B, A);
  const call = assert.rejects(echo('lost answer', 2000), code('deadline_exceeded'));
  const back = assert.rejects(
    b.call(A, 'echo', { body: 1 }, { timeoutMs: 2000 }),
    code('deadline_exceeded'),
  );
  for (let i = 0; i < 5; i++) {
    a.sendControl(B, 'beat', i);
    b.sendControl(A, 'pulse', i);
    await fleet.clock.run(500);
  }
  assert.deepEqual(beats, [0, 1, 2, 3, 4], 'the direction that works');
  assert.deepEqual(heard, [], 'the direction that does not');
  await fleet.settle(Promise.all([call, back]));
  fleet.network.heal(B, A);
  await fleet.until(() => heard.length === 5);
  assert.deepEqual(heard, [0, 1, 2, 3, 4]);
  assert.equal((await fleet.settle(echo(3))).body, 3);
});

test('a partition that outlasts the timeout breaks the link at both ends', async () => {
  const { fleet, a, b, beats, echo } = await createPair({ linkTimeoutMs: 2000 });
  await using _ = fleet;
  fleet.network.partition(B, A);
  a.sendControl(B, 'beat', 1);
  await fleet.clock.run(6000);
  assert.deepEqual(beats, [1]);
  // Nothing came back for a; its reset reaches b, as that direction works.
  assert.deepEqual([a.peers().length, b.peers().length], [0, 0]);
  await assert.rejects(fleet.settle(echo(1, 20_000)), code('peer_unreachable'));
  fleet.network.heal(B, A);
  assert.equal((await fleet.settle(echo(2))).body, 2);
});

test('a frozen node is silent and its timers wait; after the thaw everything arrives', async () => {
  const { fleet, a, b, beats, echo } = await createPair();
  await using _ = fleet;
  const ticks: number[] = [];
  const clock = fleet.network.clock(B);
  const repeat = clock.repeat(100, () => ticks.push(clock.now()));
  clock.schedule(500, () => b.sendControl(A, 'late', null));
  const late: number[] = [];
  a.onControl('late', () => late.push(fleet.clock.now()));
  fleet.network.freeze(B, 3000);
  const thawAt = fleet.clock.now() + 3000;
  const patient = echo('patient', 10_000);
  const hasty = assert.rejects(echo('hasty', 1000), code('deadline_exceeded'));
  a.sendControl(B, 'beat', 1);
  await fleet.clock.run(2900);
  await hasty;
  assert.deepEqual([beats, ticks, late], [[], [], []]);
  assert.equal((await fleet.settle(patient)).body, 'patient');
  assert.deepEqual(beats, [1]);
  await fleet.until(() => late.length === 1);
  assert.ok(late[0]! >= thawAt);
  assert.equal(ticks[0], thawAt, 'intervals that were missed come as one');
  assert.ok(ticks.length < 3);
  repeat.cancel();
});

test("a frozen node's own calls leave after its thaw", async () => {
  const { fleet, b } = await createPair();
  await using _ = fleet;
  fleet.network.freeze(B);
  const call = b.call(A, 'echo', { body: 4 });
  await fleet.clock.run(1000);
  fleet.network.thaw(B);
  assert.equal((await fleet.settle(call)).body, 4);
});

test('a crash with a reset wakes the callers of the dead node after the delay', async () => {
  const { fleet, a, echo } = await createPair();
  await using _ = fleet;
  const waiting = a.call(B, 'wait', { body: null }, { timeoutMs: 60_000 });
  const receiving = a.peer(B)!.data.receive();
  await fleet.clock.run(10);
  const crashed = fleet.clock.now();
  fleet.crash(B, { resetAfterMs: 700 });
  const outcomes = await fleet.settle(Promise.allSettled([waiting, receiving]));
  for (const outcome of outcomes) {
    assert.ok(outcome.status === 'rejected' && hasCode(outcome.reason, 'peer_disconnected'));
  }
  assert.equal(fleet.clock.now() - crashed, 700);
  await assert.rejects(fleet.settle(echo()), code('peer_unreachable'));
});

test('a crash without a word: a call ends by its deadline, the link by its timeout', async () => {
  const { fleet, a, b, echo } = await createPair({ linkTimeoutMs: 4000 });
  await using _ = fleet;
  const own = b.call(A, 'echo', { body: 1 });
  own.catch(() => {});
  fleet.crash(B);
  await assert.rejects(own, code('peer_disconnected'), 'whoever waited at the dead node is told');
  await assert.rejects(fleet.settle(echo(1, 1000)), code('deadline_exceeded'));
  assert.equal(a.peers().length, 1, 'nobody told it yet');
  const waiting = a.call(B, 'wait', { body: null }, { timeoutMs: 60_000 });
  await assert.rejects(fleet.settle(waiting), code('peer_disconnected'));
  const start = fleet.clock.now();
  await assert.rejects(fleet.settle(echo(1, 60_000)), code('peer_unreachable'));
  assert.ok(fleet.clock.now() - start >= 10_000, 'a dial of a machine that is gone times out');
});

test('a restarted node is reached by who dials it; old links are reset', async () => {
  const { fleet, a, echo } = await createPair();
  await using _ = fleet;
  const lost: string[] = [];
  a.onDisconnect(({ name }) => lost.push(name));
  const ticks: number[] = [];
  fleet.network.clock(B).repeat(100, () => ticks.push(1));
  fleet.crash(B);
  await fleet.clock.run(500);
  const host = await fleet.start(B);
  host.handle('echo', () => ({ body: 'second life' }));
  await assert.rejects(fleet.settle(echo(1, 20_000), 10), code('peer_disconnected'));
  assert.deepEqual(lost, [B]);
  assert.equal((await fleet.settle(echo())).body, 'second life');
  assert.deepEqual(ticks, [], 'timers of the first life are dead');
});

test('equal seeds leave equal traces, other seeds others', async () => {
  const run = async (seed: number) => {
    const faults = { jitterMs: 5, loss: 0.1, duplication: 0.1, reordering: 0.2, cut: true };
    const { fleet, echo } = await createPair(faults, seed);
    for (let i = 0; i < 20; i++) await fleet.settle(echo(i, 20_000));
    fleet.crash(B, { resetAfterMs: 50 });
    await fleet.clock.run(1000);
    await fleet[Symbol.asyncDispose]();
    return fleet.network.traceHash;
  };
  const first = await run(1);
  assert.match(first, /^[0-9a-f]{16}$/);
  assert.equal(await run(1), first);
  assert.notEqual(await run(2), first);
});
