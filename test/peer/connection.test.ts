// Connections between nodes: made on demand, one per pair, and what their end means to who waits
// (docs/protocol.md, Greeting and Closing).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../src/core/index.ts';
import { createNetwork, NETWORK_KINDS, withPair } from './networks.ts';
import type { FlotillaError } from '../../src/core/index.ts';
import type { TestNetwork } from './networks.ts';

const code = (expected: string) => (error: unknown) => hasCode(error, expected);

async function withNetwork(
  kind: TestNetwork['kind'],
  use: (network: TestNetwork) => Promise<void>,
): Promise<void> {
  const network = await createNetwork(kind);
  try {
    await use(network);
  } finally {
    await network.stop();
  }
}

for (const kind of NETWORK_KINDS) {
  test(`${kind}: a disconnect wakes every caller, and callers that come later`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      let entered = 0;
      let allIn = () => {};
      const running = new Promise<void>((resolve) => {
        allIn = resolve;
      });
      const signals: AbortSignal[] = [];
      b.host.handle('wait', (_request, { signal }) => {
        signals.push(signal);
        if (++entered === 50) allIn();
        return new Promise(() => {});
      });
      const calls = Array.from({ length: 50 }, () => {
        return a.host.call('node-b', 'wait', { body: null });
      });
      for (const call of calls) call.catch(() => {});
      await network.settle(running);
      const peer = a.host.peer('node-b')!;
      const lost: FlotillaError[] = [];
      a.host.onDisconnect((_peer, error) => lost.push(error));
      await network.settle(b.host.stop());
      const outcomes = await network.settle(Promise.allSettled(calls));
      for (const outcome of outcomes) {
        assert.ok(outcome.status === 'rejected' && hasCode(outcome.reason, 'peer_disconnected'));
        assert.equal(outcome.reason.details['peer'], 'node-b');
      }
      assert.ok(signals.every(({ aborted }) => aborted));
      assert.equal(lost.length, 1);
      const late = peer.call('wait', { body: null });
      await assert.rejects(late, code('peer_disconnected'));
      assert.equal(a.host.peer('node-b'), undefined);
      assert.equal(a.host.sendControl('node-b', 'x', null), false);
    });
  });

  test(`${kind}: who waits for a node that is cut off fails, and can call anew`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      b.host.handle('wait', () => new Promise(() => {}));
      b.host.handle('ping', () => ({ body: 1 }));
      const ping = () => network.settle(a.host.call('node-b', 'ping', { body: null }));
      await ping();
      const waiting = a.host.call('node-b', 'wait', { body: null }, { timeoutMs: 60_000 });
      const received = a.host.peer('node-b')!.data.receive({ timeoutMs: 60_000 });
      const lost = Promise.withResolvers<FlotillaError>();
      b.host.onDisconnect((_peer, error) => lost.resolve(error));
      const outcomes = Promise.allSettled([waiting, received]);
      a.host.disconnect('node-b', 'it was found dead');
      assert.equal(a.host.peer('node-b'), undefined);
      for (const outcome of await network.settle(outcomes)) {
        assert.ok(outcome.status === 'rejected' && hasCode(outcome.reason, 'peer_disconnected'));
        assert.equal(outcome.reason.message, 'node-b disconnected: it was found dead');
      }
      assert.ok(hasCode(await network.settle(lost.promise), 'peer_disconnected'));
      await ping();
      a.host.disconnect('nobody');
    });
  });

  test(`${kind}: who waits for a dial to a node that is cut off waits no longer`, async () => {
    await withNetwork(kind, async (network) => {
      const a = await network.node('node-a');
      const b = await network.node('node-b');
      b.host.handle('ping', () => ({ body: 1 }));
      a.host.learn('node-b', b.address);
      const ping = () => a.host.call('node-b', 'ping', { body: null });
      const waiting = ping();
      a.host.disconnect('node-b');
      // Nothing was sent, so whoever asked may ask again.
      await assert.rejects(network.settle(waiting), code('peer_unreachable'));
      assert.equal((await network.settle(ping())).body, 1);
    });
  });

  test(`${kind}: a node that is gone is unreachable, and found again when it is back`, async () => {
    await withNetwork(kind, async (network) => {
      const a = await network.node('node-a');
      const b = await network.node('node-b');
      b.host.handle('ping', () => ({ body: 1 }));
      a.host.learn('node-b', b.address);
      const ping = () => a.host.call('node-b', 'ping', { body: null });
      await network.settle(ping());
      await network.settle(b.host.stop());
      const error = await network.settle(
        ping().catch((caught: unknown) => caught as FlotillaError),
      );
      assert.ok(hasCode(error, 'peer_unreachable', 'peer_disconnected'), String(error));
      // Past the pause between two dials.
      network.clock.advance(2000);
      const refused = await network.settle(
        ping().catch((caught: unknown) => caught as FlotillaError),
      );
      assert.ok(hasCode(refused, 'peer_unreachable'));
      assert.equal(refused.details['peer'], 'node-b');
      assert.match(refused.message, /^node-b \(127\.0\.0\.1:\d+\) cannot be reached: /);
      const back = await network.node('node-b');
      back.host.handle('ping', () => ({ body: 2 }));
      a.host.learn('node-b', back.address);
      const answer = await network.settle(ping());
      assert.equal(answer.body, 2);
    });
  });

  test(`${kind}: a name without an address is peer_unreachable`, async () => {
    await withNetwork(kind, async (network) => {
      const { host } = await network.node('node-a');
      const call = host.call('node-x', 'ping', { body: null });
      await assert.rejects(network.settle(call), {
        code: 'peer_unreachable',
        message: 'node-x cannot be reached: no address of it is known',
      });
    });
  });

  test(`${kind}: redials are spaced by the back-off and meet the caller's deadline`, async () => {
    await withNetwork(kind, async (network) => {
      const a = await network.node('node-a', { redialMs: 1000, maxRedialMs: 1000 });
      a.host.learn('node-b', '127.0.0.1:1');
      const call = (timeoutMs: number) => {
        return a.host.call('node-b', 'ping', { body: null }, { timeoutMs });
      };
      await assert.rejects(network.settle(call(5000)), code('peer_unreachable'));
      // The next dial is 500 to 1000 ms away: this caller cannot wait for it.
      const hasty = call(100);
      network.clock.advance(200);
      await assert.rejects(network.settle(hasty), code('deadline_exceeded'));
      const patient = call(5000);
      network.clock.advance(1000);
      await assert.rejects(network.settle(patient), code('peer_unreachable'));
    });
  });

  test(`${kind}: dialling an address tells who is there`, async () => {
    await withNetwork(kind, async (network) => {
      const a = await network.node('node-a');
      const b = await network.node('node-b');
      const met: string[] = [];
      b.host.onConnect(({ name }) => met.push(name));
      const [peer, same] = await network.settle(
        Promise.all([a.host.connect(b.address), a.host.connect(b.address)]),
      );
      assert.equal(peer.name, 'node-b');
      assert.equal(same, peer);
      assert.equal(await network.settle(a.host.connect(b.address)), peer);
      assert.deepEqual(met, ['node-a']);
      await assert.rejects(network.settle(a.host.connect(a.address)), code('peer_unreachable'));
    });
  });

  test(`${kind}: of two dials at once one connection stays, and no call fails`, async () => {
    for (let round = 0; round < 5; round++) {
      await withPair(kind, async ({ a, b, network }) => {
        a.host.handle('who', () => ({ body: 'a' }));
        b.host.handle('who', () => ({ body: 'b' }));
        const calls = Array.from({ length: 10 }, (_, index) => {
          const [from, to] = index % 2 === 0 ? [a, 'node-b'] : [b, 'node-a'];
          return from.host.call(to, 'who', { body: null });
        });
        const answers = await network.settle(Promise.all(calls));
        assert.equal(answers.map(({ body }) => body).join(''), 'bababababa');
        assert.equal(a.host.peers().length, 1);
        assert.equal(b.host.peers().length, 1);
        // The connection of the smaller name stays.
        assert.equal(a.host.peer('node-b')?.dialled, true);
        assert.equal(b.host.peer('node-a')?.dialled, false);
      });
    }
  });

  test(`${kind}: a restarted node replaces its old connection`, async () => {
    await withNetwork(kind, async (network) => {
      const a = await network.node('node-a');
      const first = await network.node('node-b');
      await network.settle(first.host.connect(a.address));
      const before = a.host.peer('node-b');
      const second = await network.node('node-b');
      await network.settle(second.host.connect(a.address));
      const after = a.host.peer('node-b');
      assert.notEqual(after, before);
      assert.ok(after?.live);
      a.host.handle('ping', () => ({ body: 'pong' }));
      const answer = await network.settle(second.host.call('node-a', 'ping', { body: null }));
      assert.equal(answer.body, 'pong');
    });
  });

  test(`${kind}: nodes without a common version part with protocol_version`, async () => {
    await withNetwork(kind, async (network) => {
      const old = await network.node('node-a', { versions: { min: 1, max: 2 } });
      const recent = await network.node('node-b', { versions: { min: 3, max: 4 } });
      const dial = recent.host.connect(old.address);
      await assert.rejects(network.settle(dial), (error: unknown) => {
        assert.ok(hasCode(error, 'protocol_version'));
        assert.match(error.message, /1 to 2/);
        assert.match(error.message, /3 to 4/);
        return true;
      });
      assert.equal(old.warnings.length, 1);
      assert.match(old.warnings[0] ?? '', /no common protocol version/);
      assert.equal(old.host.peers().length, 0);
    });
  });

  test(`${kind}: control messages keep their order per kind and reach their handler`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      const seen: unknown[] = [];
      let all = () => {};
      const done = new Promise<void>((resolve) => {
        all = resolve;
      });
      b.host.onControl('beat', (body, peer) => {
        seen.push([peer, body]);
        if (seen.length === 20) all();
        throw new Error('a handler that fails costs nothing');
      });
      assert.equal(a.host.sendControl('node-b', 'beat', 0), false);
      await network.settle(a.host.connect(b.address));
      for (let i = 0; i < 20; i++) {
        assert.equal(a.host.sendControl('node-b', 'beat', i), true);
        a.host.sendControl('node-b', 'unheard', i);
      }
      await network.settle(done);
      assert.deepEqual(
        seen,
        Array.from({ length: 20 }, (_, index) => ['node-a', index]),
      );
      // Kinds have no order between them.
      while (b.host.peer('node-a')!.metrics.control.drops < 20) await new Promise(setImmediate);
    });
  });

  test(`${kind}: control passes a 64 MiB payload that was sent before it`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      const order: string[] = [];
      b.host.handle('bulk', ({ bytes }) => {
        order.push('bulk');
        return { body: bytes!.length };
      });
      b.host.onControl('beat', (body) => void order.push(`beat ${body}`));
      await network.settle(a.host.connect(b.address));
      const bytes = new Uint8Array(64 * 1024 * 1024);
      const call = a.host.call('node-b', 'bulk', { body: null, bytes });
      for (let beat = 0; beat < 5; beat++) a.host.sendControl('node-b', 'beat', beat);
      const answer = await network.settle(call);
      assert.equal(answer.body, bytes.length);
      assert.deepEqual(order, ['beat 0', 'beat 1', 'beat 2', 'beat 3', 'beat 4', 'bulk']);
    });
  });

  test(`${kind}: a control kind that is full is refused; other kinds and calls go on`, async () => {
    await withPair(
      kind,
      async ({ a, b, network }) => {
        let beats = 0;
        b.host.onControl('barrier', () => {});
        b.host.onControl('beat', () => void beats++);
        b.host.handle('ping', () => ({ body: 'pong' }));
        await network.settle(a.host.connect(b.address));
        // In one step nothing leaves, so what exceeds the page and the queue is refused.
        const body = 'x'.repeat(1000);
        let accepted = 0;
        while (a.host.sendControl('node-b', 'barrier', body)) accepted++;
        assert.ok(accepted >= 8, `${accepted} accepted`);
        assert.equal(a.host.sendControl('node-b', 'beat', 1), true);
        const answer = await network.settle(a.host.call('node-b', 'ping', { body: null }));
        assert.equal(answer.body, 'pong');
        assert.equal(beats, 1);
        assert.equal(a.host.sendControl('node-b', 'barrier', body), true);
      },
      { laneCapacity: 8 },
    );
  });

  test(`${kind}: a stop sends what was queued before it ends`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      let received = 0;
      b.host.onControl('last', () => void received++);
      await network.settle(a.host.connect(b.address));
      const gone = new Promise<void>((resolve) => b.host.onDisconnect(() => resolve()));
      for (let i = 0; i < 200; i++) a.host.sendControl('node-b', 'last', 'x'.repeat(500));
      await network.settle(Promise.all([a.host.stop(), gone]));
      assert.equal(received, 200);
      await assert.rejects(a.host.call('node-b', 'any', { body: null }), code('peer_disconnected'));
    });
  });
}
