// Lengths that lie, from as many streams as a connection has: memory follows what came, not what
// was announced, and other peers are served meanwhile.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MUX_FLAGS } from '../../src/wire/index.ts';
import { TRANSPORT_DEFAULTS } from '../../src/transport/index.ts';
import { frameOf, tagPreamble } from './hostile-bytes.ts';
import { LivePeer, recordCorpora } from './live-peer.ts';
import { usedBytes } from './run.ts';

const MIB = 1024 * 1024;
const FOUR_GIB = 4 * 1024 * MIB;
const STREAMS = TRANSPORT_DEFAULTS.maxInboundStreams;

/** A tag's preamble; or every third one on a framed lane, which has a head to lie about, too. */
function preambleOf(stream: number): Buffer {
  if (stream % 3 === 0) return Buffer.from([1, 5]);
  return tagPreamble(stream);
}

function announcement(stream: number, length: number): Buffer {
  const prefix = Buffer.alloc(stream % 3 === 0 ? 12 : 8);
  prefix.writeBigUInt64LE(BigInt(length), 0);
  if (stream % 3 === 0) prefix.writeUInt32LE(Math.min(length - 4, 16 * MIB), 8);
  return prefix;
}

/** The healthy peer's control messages arrive, all of them and in order. */
async function controlWorks(peer: LivePeer, beats: number[]): Promise<void> {
  const from = beats.length;
  for (let i = 0; i < 20; i++) assert.ok(peer.friend.sendControl('node-a', 'pulse', from + i));
  await peer.assertUnharmed();
  assert.deepEqual(
    beats,
    Array.from({ length: from + 20 }, (_, i) => i),
  );
}

/** Sends an announcement, and then `extra` bytes, on as many streams as there may be. */
async function announce(length: number, extra: number, limits = { maxMessageBytes: 256 * MIB }) {
  const { dialler } = await recordCorpora();
  const peer = new LivePeer({ ...limits, maxPartialBytes: 512 * MIB });
  const beats: number[] = [];
  peer.victim.onControl('pulse', (body, from) => {
    if (from === 'node-b') beats.push(body as number);
  });
  await peer.start();
  try {
    await controlWorks(peer, beats);
    const before = usedBytes();
    const end = await peer.enemy(true);
    for (const bytes of dialler.greeting) end.send(bytes);
    await peer.settle();
    const streams = Array.from({ length: STREAMS }, (_, i) => i + 2);
    for (const stream of streams) end.send(frameOf(stream, MUX_FLAGS.open, preambleOf(stream)));
    let refusedAt = 0;
    for (const stream of streams) {
      end.send(frameOf(stream, 0, announcement(stream, length)));
      if (end.over) refusedAt ||= stream;
    }
    for (let round = 0; round < extra; round++) {
      for (const stream of streams) end.send(frameOf(stream, 0, Buffer.of(round)));
    }
    const grownBytes = usedBytes() - before;
    await controlWorks(peer, beats);
    const over = end.over;
    end.leave();
    await peer.settle();
    await peer.assertUnharmed();
    return { grownBytes, over, refusedAt, leftBytes: usedBytes() - before };
  } finally {
    await peer.stop();
  }
}

for (const extra of [0, 3]) {
  const followed = extra === 0 ? 'nothing' : 'a few bytes';
  test(`4 GiB announced on ${STREAMS} streams and ${followed} after it`, async (t) => {
    const { grownBytes, over, refusedAt } = await announce(FOUR_GIB, extra);
    assert.ok(over && refusedAt === 2, 'the first such length ends the connection');
    assert.ok(grownBytes < 64 * MIB, `${grownBytes} bytes`);
    t.diagnostic(`memory grew by ${(grownBytes / MIB).toFixed(1)} MiB`);
  });

  test(`the longest message on ${STREAMS} streams and ${followed} after it`, async (t) => {
    const { grownBytes, over, leftBytes } = await announce(256 * MIB, extra);
    assert.equal(over, false, 'a length within the limits is no breach');
    assert.ok(grownBytes < 64 * MIB, `${grownBytes} bytes`);
    assert.ok(leftBytes < 8 * MIB, `${leftBytes} bytes left`);
    t.diagnostic(
      `memory grew by ${(grownBytes / MIB).toFixed(1)} MiB, ` +
        `${(leftBytes / MIB).toFixed(1)} MiB after the connection`,
    );
  });

  test(`4 GiB within the limits on ${STREAMS} streams and ${followed} after it`, async (t) => {
    // A node configured for messages of 8 GiB: announcing them costs it no more.
    const limits = { maxMessageBytes: 8 * 1024 * MIB };
    const { grownBytes, leftBytes } = await announce(FOUR_GIB, extra, limits);
    assert.ok(grownBytes < 64 * MIB, `${grownBytes} bytes`);
    assert.ok(leftBytes < 8 * MIB, `${leftBytes} bytes left`);
    t.diagnostic(`memory grew by ${(grownBytes / MIB).toFixed(1)} MiB`);
  });
}
