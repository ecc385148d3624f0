// What a peer can make another hold on channels that nobody asked for, and the credit's arithmetic.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Deadlines, hasCode } from '../../src/core/index.ts';
import { Channels } from '../../src/peer/channels.ts';
import { ReceiveCredit, SendCredit } from '../../src/peer/credit.ts';
import { CHANNEL_CREDIT, UNCLAIMED_LIMITS } from '../../src/peer/defaults.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import type { ChannelReader } from '../../src/peer/channels.ts';

interface Opened {
  readonly reader: ChannelReader;
  refused: boolean;
}

function createChannels() {
  const clock = new SimulatedClock();
  const channels = new Channels(
    {
      peer: 'node-x',
      clock,
      deadlines: new Deadlines(clock),
      callTimeoutMs: 1000,
      openStream: () => ({ id: 1, queuedBytes: 0, write: () => true, end() {}, reset() {} }),
    },
    { maxMessageBytes: 1e9 },
  );
  /** The other end opens a stream of a tag. */
  const open = (tag: number): Opened => {
    const opened: { refused: boolean } = { refused: false };
    const stream = {
      id: tag + 1,
      preamble: new Uint8Array(0),
      grant() {},
      refuse: () => {
        opened.refused = true;
      },
    };
    const reader = channels.accept({ lane: 'tag', id: BigInt(tag) }, stream);
    return Object.assign(opened, { reader });
  };
  return { channels, open };
}

const NO_HEAD = new Uint8Array(0);

test('channels that nobody asked for are bounded in number; one asked for makes room', async () => {
  const { channels, open } = createChannels();
  for (let tag = 0; tag < UNCLAIMED_LIMITS.channels; tag++) {
    const { reader } = open(tag);
    reader.message(NO_HEAD, 0, 0, Uint8Array.of(1));
    // Its sender removes it: the message stays for whoever asks.
    reader.ended();
  }
  assert.equal(open(1_000_000).refused, true);
  assert.equal(channels.counters.tag.drops, 1);
  assert.equal(channels.size, UNCLAIMED_LIMITS.channels);
  assert.deepEqual([...(await channels.raw({ lane: 'tag', id: 7n }).receive())], [1]);
  assert.equal(open(1_000_000).refused, false);
  assert.equal(open(1_000_001).refused, true);
});

test('a channel over the bound is given up, with all it held, and no other', async () => {
  const { channels, open } = createChannels();
  const half = new Uint8Array(UNCLAIMED_LIMITS.bytes / 2);
  const [first, second, third] = [0, 1, 2].map(open) as [Opened, Opened, Opened];
  first.reader.message(NO_HEAD, 0, 0, half);
  second.reader.message(NO_HEAD, 0, 0, half);
  third.reader.message(NO_HEAD, 0, 0, Uint8Array.of(1));
  assert.deepEqual([first.refused, second.refused, third.refused], [false, false, true]);
  assert.equal(channels.counters.tag.drops, 1);
  assert.equal(channels.counters.tag.depthBytes, UNCLAIMED_LIMITS.bytes);
  assert.equal(open(2).refused, true);
  const claimed = channels.raw({ lane: 'tag', id: 0n });
  assert.equal((await claimed.receive()).length, half.length);
  // The bytes that were asked for count no more: there is room again.
  channels.raw({ lane: 'tag', id: 2n });
  assert.equal(open(2).refused, false);
});

test('a sender beyond its credit commits a breach, and so does a third stream', () => {
  const { open } = createChannels();
  const { reader } = open(1);
  const send = () => reader.message(NO_HEAD, 0, 0, Uint8Array.of(1));
  for (let i = 0; i < CHANNEL_CREDIT.messages; i++) send();
  assert.throws(send, (error) => hasCode(error, 'frame_invalid'));
  open(2);
  open(2);
  assert.throws(
    () => open(2),
    (error) => hasCode(error, 'frame_invalid'),
  );
});

test('sender and receiver agree on credit, and a reader who takes all frees the sender', () => {
  const sizes = fc.oneof(fc.nat({ max: 100 }), fc.nat({ max: 2 * CHANNEL_CREDIT.bytes }));
  const steps = fc.array(fc.record({ size: sizes, takes: fc.nat({ max: 300 }) }), {
    minLength: 1,
    maxLength: 600,
  });
  fc.assert(
    fc.property(steps, (run) => {
      const sender = new SendCredit();
      const receiver = new ReceiveCredit();
      const held: number[] = [];
      const take = () =>
        receiver.taken(held.shift()!, (messages, bytes) => sender.grant(messages, bytes));
      for (const { size, takes } of run) {
        if (sender.open) {
          sender.spend(size);
          assert.ok(receiver.arrived(size));
          held.push(size);
        }
        assert.ok(held.length <= CHANNEL_CREDIT.messages);
        // Half of the steps take nothing, so that the credit runs out.
        for (let i = 150; i < takes && held.length > 0; i++) take();
      }
      while (held.length > 0) take();
      assert.ok(sender.open);
    }),
  );
});
