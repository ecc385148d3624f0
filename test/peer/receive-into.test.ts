// Receiving into memory that the receiver brings (docs/protocol.md, Channels): whatever the cuts of
// the bytes and whoever gives up meanwhile, each message reaches one receiver, whole and in order.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Deadlines, FlotillaError, hasCode, systemClock } from '../../src/core/index.ts';
import { Channels } from '../../src/peer/channels.ts';
import { releaseBytes } from '../../src/peer/index.ts';
import { MessageDecoder, ReceiveBudget } from '../../src/wire/index.ts';
import { NETWORK_KINDS, withPair } from './networks.ts';
import type { RawChannel, ReceiveOptions } from '../../src/peer/index.ts';

const KIB = 1024;
const code = (expected: string) => (error: unknown) => hasCode(error, expected);

/** A stream of the other end, whose bytes a test feeds by hand, cut as it likes. */
interface Fed {
  feed(bytes: Uint8Array): void;
  reset(): void;
}

function fedChannel(): { channel: RawChannel; budget: ReceiveBudget; open(): Fed } {
  const deadlines = new Deadlines(systemClock);
  const openStream = () => assert.fail('nothing is sent here');
  const channels = new Channels(
    { peer: 'node-b', clock: systemClock, deadlines, callTimeoutMs: 30_000, openStream },
    { maxMessageBytes: 1024 * KIB },
  );
  const limits = { maxMessageBytes: 1024 * KIB, maxHeadBytes: 0, maxPartialBytes: 2048 * KIB };
  const budget = new ReceiveBudget(limits);
  let id = 0;
  return {
    channel: channels.raw({ lane: 'raw' }),
    budget,
    open() {
      const preamble = Uint8Array.of(2);
      const refuse = () => decoder.drop();
      const reader = channels.accept({ lane: 'raw' }, { id: ++id, preamble, grant() {}, refuse });
      const decoder = new MessageDecoder(reader, budget, 'raw');
      return {
        feed: (bytes) => decoder.push(bytes, 0, bytes.length),
        reset() {
          decoder.drop();
          reader.ended();
        },
      };
    },
  };
}

function message(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(8 + length);
  bytes.writeUInt32LE(length, 0);
  for (let at = 8; at < bytes.length; at++) bytes[at] = at * 7 + seed + (at >> 8);
  return bytes;
}

const size = fc.oneof(fc.nat(20), fc.nat(5000), fc.nat(200 * KIB));
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('feed' as const), bytes: size }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('receive' as const),
      into: fc.option(fc.nat(250 * KIB)),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('cancel' as const), which: fc.nat(5) }) },
);

test('every message reaches one receiver, whole and in order, whoever gives up', async () => {
  const scenario = fc.tuple(
    fc.array(size, { minLength: 1, maxLength: 12, size: 'max' }),
    fc.array(step, { maxLength: 60, size: 'max' }),
  );
  await fc.assert(
    fc.asyncProperty(scenario, async ([sizes, steps]) => {
      const { channel, budget, open } = fedChannel();
      const { feed } = open();
      const sent = sizes.map((length, index) => message(length, index));
      const all = Buffer.concat(sent);
      let fed = 0;
      const got: Uint8Array[] = [];
      const waiting: { controller: AbortController; done: boolean }[] = [];
      const receive = (into?: Uint8Array) => {
        const controller = new AbortController();
        const entry = { controller, done: false };
        waiting.push(entry);
        const options: ReceiveOptions = { signal: controller.signal, ...(into && { into }) };
        channel.receive(options).then(
          (bytes) => {
            entry.done = true;
            if (into && bytes.length > 0) assert.equal(bytes.buffer, into.buffer);
            got.push(Buffer.from(bytes));
          },
          () => {
            entry.done = true;
            // Its memory is the receiver's again: nothing may come there, or have to be read there.
            into?.fill(255);
          },
        );
      };
      for (const each of steps) {
        if (each.kind === 'feed') {
          feed(all.subarray(fed, fed + each.bytes));
          fed = Math.min(all.length, fed + each.bytes);
        } else if (each.kind === 'receive') {
          receive(each.into === null ? undefined : Buffer.alloc(each.into));
        } else {
          const open = waiting.filter(({ done }) => !done);
          open[each.which % open.length]?.controller.abort();
        }
        await new Promise(setImmediate);
      }
      feed(all.subarray(fed));
      await new Promise(setImmediate);
      while (got.length < sent.length) {
        receive(Buffer.alloc(250 * KIB));
        await new Promise(setImmediate);
      }
      for (const [index, bytes] of got.entries()) assert.ok(sent[index]!.subarray(8).equals(bytes));
      assert.equal(budget.heldBytes, 0);
    }),
    { numRuns: 60 },
  );
});

test('who waits for the rest of a message that its sender gives up gets the next one', async () => {
  const { channel, open } = fedChannel();
  const [lost, second, third] = [1, 2, 3].map((seed) => message(50 * KIB, seed)) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  const [old, fresh] = [open(), open()];
  const into = Buffer.alloc(50 * KIB);
  const one = channel.receive({ into });
  const two = channel.receive();
  old.feed(lost.subarray(0, 40 * KIB));
  fresh.feed(second);
  assert.ok(second.subarray(8).equals(await two), 'another stream does not wait for it');
  const three = channel.receive({ timeoutMs: 10 });
  old.reset();
  fresh.feed(third);
  assert.equal((await one).buffer, into.buffer);
  assert.ok(third.subarray(8).equals(into), 'it comes before who asked later');
  await assert.rejects(three, code('deadline_exceeded'));
});

test('memory lent to a message counts against the budget as memory of ours would', () => {
  const { channel, budget, open } = fedChannel();
  const { feed } = open();
  void channel.receive({ into: Buffer.alloc(1024 * KIB) }).catch(() => {});
  const whole = message(1000 * KIB, 1);
  feed(whole.subarray(0, 1000));
  assert.equal(budget.heldBytes, 64 * KIB);
  feed(whole.subarray(1000));
  assert.equal(budget.heldBytes, 0);
});

for (const kind of NETWORK_KINDS) {
  test(`${kind}: messages land in the memory that a receiver brings, if they fit`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      const from = await network.settle(a.host.connect(b.address));
      const to = b.host.peer('node-a')!;
      const long = Buffer.alloc(300 * KIB, 'long');
      const into = Buffer.alloc(300 * KIB);
      const waiting = to.raw.receive({ into });
      await network.settle(from.raw.send(long));
      assert.equal((await network.settle(waiting)).buffer, into.buffer);
      assert.ok(into.equals(long));
      const short = to.raw.receive({ into: Buffer.alloc(10) });
      const refused = assert.rejects(short, code('memory_too_small'));
      await network.settle(from.raw.send(Buffer.from('a message of 25 bytes ...')));
      await network.settle(refused);
      const again = to.raw.receive({ into: Buffer.alloc(24) });
      await network.settle(assert.rejects(again, code('memory_too_small')));
      const kept = await network.settle(to.raw.receive({ into }));
      assert.equal(Buffer.from(kept).toString(), 'a message of 25 bytes ...');
      assert.equal(kept.buffer, into.buffer);
      const gone = assert.rejects(to.raw.receive({ into }), code('peer_disconnected'));
      from.destroy(new FlotillaError('peer_disconnected', 'the test is over'));
      await network.settle(gone);
    });
  });

  test(`${kind}: memory of a request that is given back serves the next one`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      await network.settle(a.host.connect(b.address));
      const buffers = new Set<ArrayBufferLike>();
      b.host.handle('take', ({ bytes }) => {
        assert.equal(bytes!.length, 200 * KIB);
        assert.ok(bytes!.every((byte) => byte === bytes![0]));
        buffers.add(bytes!.buffer);
        const body = bytes![0];
        releaseBytes(bytes);
        return { body };
      });
      for (let call = 0; call < 5; call++) {
        const bytes = Buffer.alloc(200 * KIB, call);
        const answer = a.host.call('node-b', 'take', { body: null, bytes });
        assert.equal((await network.settle(answer)).body, call);
      }
      assert.ok(buffers.size < 5, `${buffers.size} memories for 5 requests`);
    });
  });
}
