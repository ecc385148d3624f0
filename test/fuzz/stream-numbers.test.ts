// Stream numbers rise: one that was used never means another stream (docs/protocol.md, Frames).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MUX_FLAGS } from '../../src/wire/index.ts';
import { frameOf, tagPreamble } from './hostile-bytes.ts';
import { LivePeer, recordCorpora } from './live-peer.ts';

/** Opens streams in this order, each ended before the next; true when the node ended the link. */
async function opens(numbers: readonly number[]): Promise<boolean> {
  const { dialler } = await recordCorpora();
  const peer = new LivePeer();
  await peer.start();
  try {
    const end = await peer.enemy(true);
    for (const bytes of dialler.greeting) end.send(bytes);
    await peer.settle();
    for (const number of numbers) {
      end.send(frameOf(number, MUX_FLAGS.open, tagPreamble(number)));
      end.send(frameOf(number, MUX_FLAGS.end));
    }
    const { over } = end;
    end.leave();
    await peer.settle();
    await peer.assertUnharmed();
    return over;
  } finally {
    await peer.stop();
  }
}

test('streams whose numbers rise are taken, with gaps too', async () => {
  assert.equal(await opens([2, 3, 10, 2 ** 32 - 1]), false);
});

test('a number that was used before costs its sender the connection', async () => {
  assert.equal(await opens([2, 3, 2]), true);
  assert.equal(await opens([2, 2]), true);
});

test('a number below one that was used costs its sender the connection', async () => {
  assert.equal(await opens([9, 8]), true);
});
