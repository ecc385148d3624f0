// Calls between nodes, on both networks (docs/protocol.md, Calls).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlotillaError, hasCode } from '../../src/core/index.ts';
import { NETWORK_KINDS, withPair } from './networks.ts';
import type { TestNode } from './networks.ts';

const code = (expected: string) => (error: unknown) => hasCode(error, expected);

/** Offers a procedure whose calls stay open until `release`; tells what became of their signals. */
function offerStuck({ host }: TestNode) {
  const aborted: unknown[] = [];
  let release = () => {};
  let entered = () => {};
  const running = new Promise<void>((resolve) => {
    entered = resolve;
  });
  host.handle('stuck', async (_request, { signal }) => {
    signal.addEventListener('abort', () => aborted.push(signal.reason));
    entered();
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    return { body: 'late' };
  });
  return { aborted, running, release: () => release() };
}

for (const kind of NETWORK_KINDS) {
  test(`${kind}: a call carries body and bytes there and back`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      b.host.handle('double', ({ body, bytes }, { peer }) => {
        return { body: { body, peer }, bytes: bytes!.map((byte) => byte * 2) };
      });
      const request = { body: { x: [1, 'two'] }, bytes: Uint8Array.of(1, 2, 3) };
      const answer = await network.settle(a.host.call('node-b', 'double', request));
      assert.deepEqual(answer.body, { body: { x: [1, 'two'] }, peer: 'node-a' });
      assert.deepEqual([...answer.bytes!], [2, 4, 6]);
    });
  });

  test(`${kind}: large bytes arrive whole in both directions`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      b.host.handle('echo', ({ body, bytes }) => ({ body, bytes: bytes! }));
      for (const size of [16_384, 16_385, 65_536, 200_000, 3_000_001]) {
        const bytes = new Uint8Array(size).map((_, index) => (index * 7) >> 3);
        const answer = await network.settle(a.host.call('node-b', 'echo', { body: size, bytes }));
        assert.equal(answer.body, size);
        assert.ok(Buffer.from(answer.bytes!).equals(bytes), `${size} bytes`);
      }
    });
  });

  test(`${kind}: both ends call each other over one connection`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      a.host.handle('name', () => ({ body: 'a' }));
      b.host.handle('name', () => ({ body: 'b' }));
      const one = await network.settle(a.host.call('node-b', 'name', { body: null }));
      const two = await network.settle(b.host.call('node-a', 'name', { body: null }));
      assert.deepEqual([one.body, two.body], ['b', 'a']);
      assert.equal(a.host.peers().length, 1);
      assert.equal(b.host.peers().length, 1);
    });
  });

  test(`${kind}: requests keep their order, whatever their size`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      const seen: unknown[] = [];
      b.host.handle('note', ({ body }) => {
        seen.push(body);
        return { body: null };
      });
      const calls = Array.from({ length: 60 }, (_, index) => {
        const bytes = new Uint8Array(index % 3 === 0 ? 100_000 : 10);
        return a.host.call('node-b', 'note', { body: index, bytes });
      });
      await network.settle(Promise.all(calls));
      assert.deepEqual(seen, [...Array(60).keys()]);
    });
  });

  test(`${kind}: an unknown procedure is a typed error and harms nothing else`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      b.host.handle('known', () => ({ body: 1 }));
      const lost = a.host.call('node-b', 'nowhere', { body: null });
      await assert.rejects(network.settle(lost), code('unknown_procedure'));
      const answer = await network.settle(a.host.call('node-b', 'known', { body: null }));
      assert.equal(answer.body, 1);
    });
  });

  test(`${kind}: a handler's FlotillaError arrives with code, message and details`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      const details = { ids: ['x', 'y'], limit: 3 };
      b.host.handle('sync', () => {
        throw new FlotillaError('row_unknown', 'no such rows', { details });
      });
      b.host.handle('async', async () => {
        throw new FlotillaError('row_unknown', 'no such rows', { details });
      });
      for (const procedure of ['sync', 'async']) {
        await assert.rejects(network.settle(a.host.call('node-b', procedure, { body: 0 })), {
          code: 'row_unknown',
          message: 'no such rows',
          details,
        });
      }
    });
  });

  test(`${kind}: another throw is handler_failed with its message, without its stack`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      b.host.handle('broken', () => {
        throw new TypeError('x is not a function');
      });
      b.host.handle('nothing', () => undefined as never);
      const error = await network
        .settle(a.host.call('node-b', 'broken', { body: null }))
        .catch((caught: unknown) => caught as FlotillaError);
      assert.ok(hasCode(error, 'handler_failed'));
      assert.match(error.message, /^broken failed: x is not a function$/);
      assert.ok(!String(error.details['stack'] ?? '').includes('at '));
      const nothing = a.host.call('node-b', 'nothing', { body: null });
      await assert.rejects(network.settle(nothing), code('handler_failed'));
    });
  });

  test(`${kind}: a deadline ends the call at both ends; the late answer is not sent`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      const stuck = offerStuck(b);
      const call = a.host.call('node-b', 'stuck', { body: null }, { timeoutMs: 500 });
      call.catch(() => {});
      await network.settle(stuck.running);
      network.clock.advance(600);
      await assert.rejects(network.settle(call), code('deadline_exceeded'));
      assert.equal(stuck.aborted.length, 1);
      assert.ok(hasCode(stuck.aborted[0], 'deadline_exceeded', 'cancelled'));
      stuck.release();
      b.host.handle('after', () => ({ body: 'fine' }));
      await network.settle(a.host.call('node-b', 'after', { body: null }));
      assert.equal(b.host.peer('node-a')?.metrics.lateAnswers, 1);
      assert.equal(a.host.peer('node-b')?.metrics.pendingCalls, 0);
    });
  });

  test(`${kind}: cancelling a call aborts its handler`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      const stuck = offerStuck(b);
      const controller = new AbortController();
      const { signal } = controller;
      const call = a.host.call('node-b', 'stuck', { body: null }, { signal });
      call.catch(() => {});
      await network.settle(stuck.running);
      controller.abort();
      await assert.rejects(network.settle(call), code('cancelled'));
      b.host.handle('after', () => ({ body: 'fine' }));
      await network.settle(a.host.call('node-b', 'after', { body: null }));
      assert.ok(hasCode(stuck.aborted[0], 'cancelled'));
      const again = a.host.call('node-b', 'after', { body: null }, { signal });
      await assert.rejects(network.settle(again), code('cancelled'));
      stuck.release();
    });
  });

  test(`${kind}: an answer whose caller gave up is counted and dropped`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      let answer = () => {};
      b.host.handle('slow', async () => {
        await new Promise<void>((resolve) => {
          answer = resolve;
        });
        return { body: 'too late' };
      });
      let sent = () => {};
      const reached = new Promise<void>((resolve) => {
        sent = resolve;
      });
      b.host.handle('mark', () => {
        sent();
        return { body: null };
      });
      const controller = new AbortController();
      const { signal } = controller;
      const call = a.host.call('node-b', 'slow', { body: null }, { signal });
      call.catch(() => {});
      await network.settle(a.host.call('node-b', 'mark', { body: null }));
      await network.settle(reached);
      // Answer and cancellation leave in the same step and cross each other on the way.
      answer();
      controller.abort();
      await assert.rejects(call, code('cancelled'));
      await network.settle(a.host.call('node-b', 'mark', { body: null }));
      assert.equal(a.host.peer('node-b')?.metrics.droppedResponses, 1);
    });
  });

  test(`${kind}: a message over the limit fails at its sender and costs nothing else`, async () => {
    await withPair(
      kind,
      async ({ a, b, network }) => {
        b.host.handle('take', ({ bytes }) => ({ body: bytes?.length ?? 0 }));
        b.host.handle('give', () => ({ body: null, bytes: new Uint8Array(20_000) }));
        const take = (size: number) =>
          network.settle(
            a.host.call('node-b', 'take', { body: null, bytes: new Uint8Array(size) }),
          );
        assert.equal((await take(9_000)).body, 9_000);
        await assert.rejects(take(10_001), code('message_too_large'));
        const given = a.host.call('node-b', 'give', { body: null });
        await assert.rejects(network.settle(given), code('message_too_large'));
        assert.equal((await take(1)).body, 1);
      },
      { maxMessageBytes: 10_000 },
    );
  });

  test(`${kind}: more calls than a peer may have pending are refused, not queued`, async () => {
    await withPair(
      kind,
      async ({ a, b, network }) => {
        b.host.handle('wait', () => new Promise(() => {}));
        b.host.handle('go', () => ({ body: null }));
        await network.settle(a.host.call('node-b', 'go', { body: null }));
        const calls = [1, 2, 3].map(() => a.host.call('node-b', 'wait', { body: null }));
        for (const call of calls) call.catch(() => {});
        await assert.rejects(network.settle(calls[2]!), code('lane_full'));
        assert.equal(a.host.peer('node-b')?.metrics.requests.drops, 1);
      },
      { maxPendingCalls: 2 },
    );
  });

  test(`${kind}: a node that runs too many calls of a peer answers lane_full`, async () => {
    await withPair(
      kind,
      async ({ a, b, network }) => {
        b.host.handle('wait', () => new Promise(() => {}));
        const calls = [1, 2].map(() => a.host.call('node-b', 'wait', { body: null }));
        for (const call of calls) call.catch(() => {});
        await assert.rejects(network.settle(calls[1]!), code('lane_full'));
      },
      { maxInboundCalls: 1 },
    );
  });

  test(`${kind}: the bytes of requests that handlers hold are bounded`, async () => {
    await withPair(
      kind,
      async ({ a, b, network }) => {
        const releases: (() => void)[] = [];
        b.host.handle('hold', async () => {
          await new Promise<void>((resolve) => releases.push(resolve));
          return { body: null };
        });
        b.host.handle('go', () => ({ body: null }));
        const hold = (signal?: AbortSignal) => {
          const request = { body: null, bytes: new Uint8Array(60_000) };
          const call = a.host.call('node-b', 'hold', request, signal && { signal });
          call.catch(() => {});
          return call;
        };
        const go = () => network.settle(a.host.call('node-b', 'go', { body: null }));
        const caller = new AbortController();
        const calls = [hold(), hold(caller.signal), hold()];
        await assert.rejects(network.settle(calls[2]!), code('lane_full'));
        await assert.rejects(go(), code('lane_full'));
        // A caller that gives up frees nothing as long as the handler holds its request.
        caller.abort();
        await assert.rejects(calls[1]!, code('cancelled'));
        await assert.rejects(go(), code('lane_full'));
        for (const release of releases) release();
        await network.settle(calls[0]!);
        assert.equal((await go()).body, null);
      },
      { maxInboundBytes: 100_000 },
    );
  });

  test(`${kind}: a node calls itself by the same rules, without a connection`, async () => {
    await withPair(kind, async ({ a, network }) => {
      a.host.handle('echo', ({ body, bytes }, { peer }) => ({
        body: { body, peer },
        bytes: bytes!,
      }));
      const bytes = Uint8Array.of(1, 2);
      const call = a.host.call('node-a', 'echo', { body: { x: undefined }, bytes });
      const answer = await network.settle(call);
      assert.deepEqual(answer.body, { body: { x: null }, peer: 'node-a' });
      assert.notEqual(answer.bytes, bytes);
      const lost = a.host.call('node-a', 'nowhere', { body: null });
      await assert.rejects(network.settle(lost), code('unknown_procedure'));
      const stuck = offerStuck(a);
      const late = a.host.call('node-a', 'stuck', { body: null }, { timeoutMs: 50 });
      late.catch(() => {});
      await network.settle(stuck.running);
      network.clock.advance(100);
      await assert.rejects(network.settle(late), code('deadline_exceeded'));
      assert.ok(hasCode(stuck.aborted[0], 'deadline_exceeded'));
      assert.equal(a.host.peers().length, 0);
    });
  });
}
