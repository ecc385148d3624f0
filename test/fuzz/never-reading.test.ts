// A peer that makes this node answer and reads none of it: what waits for it is bounded.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MUX_FLAGS, MUX_HEADER_BYTES } from '../../src/wire/index.ts';
import { MAX_WAITING_SIGNAL_BYTES } from '../../src/transport/defaults.ts';
import { frameOf } from './hostile-bytes.ts';
import { LivePeer, recordCorpora } from './live-peer.ts';
import { usedBytes } from './run.ts';

const MIB = 1024 * 1024;
const BATCH = 1000;

/** Streams that nobody wants, opened and given up again: each is worth a refusal. */
function unwanted(first: number): Buffer {
  const preamble = Buffer.alloc(19, 0xb0);
  return Buffer.concat(
    Array.from({ length: BATCH }, (_, i) => [
      frameOf(first + i, MUX_FLAGS.open, preamble),
      frameOf(first + i, MUX_FLAGS.reset, Buffer.alloc(0)),
    ]).flat(),
  );
}

test('refusals that nobody reads end the connection at their limit', async (t) => {
  const { dialler } = await recordCorpora();
  const peer = new LivePeer();
  await peer.start();
  try {
    const end = await peer.enemy(true);
    for (const bytes of dialler.greeting) end.send(bytes);
    await peer.settle();
    end.stall();
    const before = usedBytes();
    let streams = 0;
    while (!end.over && streams * MUX_HEADER_BYTES < 2 * MAX_WAITING_SIGNAL_BYTES) {
      end.send(unwanted(2 + streams));
      streams += BATCH;
    }
    const grownBytes = usedBytes() - before;
    assert.ok(end.over);
    const owedBytes = streams * MUX_HEADER_BYTES;
    assert.ok(owedBytes > MAX_WAITING_SIGNAL_BYTES, `${owedBytes} bytes`);
    assert.ok(owedBytes < 1.1 * MAX_WAITING_SIGNAL_BYTES, `${owedBytes} bytes`);
    assert.ok(grownBytes < 16 * MIB, `${grownBytes} bytes`);
    t.diagnostic(`memory grew by ${(grownBytes / MIB).toFixed(1)} MiB`);
    await peer.settle();
    await peer.assertUnharmed();
  } finally {
    await peer.stop();
  }
});
