// The limit on heads, which receivers bound apart from whole messages: who sends too large a body
// hears so, and nobody's connection ends.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../src/core/index.ts';
import { WIRE_DEFAULTS } from '../../src/wire/index.ts';
import { NETWORK_KINDS, withPair } from './networks.ts';

const tooLarge = (error: unknown) => hasCode(error, 'message_too_large');
const LARGE = new Uint8Array(WIRE_DEFAULTS.maxHeadBytes);

for (const kind of NETWORK_KINDS) {
  test(`${kind}: a body over the limit on heads fails the call, not the connection`, async () => {
    await withPair(kind, async ({ a, b, network }) => {
      let disconnects = 0;
      a.host.onDisconnect(() => disconnects++);
      b.host.handle('echo', ({ body }) => ({ body }));
      b.host.handle('large', () => ({ body: LARGE }));
      b.host.handle('largeLater', async () => ({ body: LARGE }));
      const call = (procedure: string, body: unknown) =>
        network.settle(a.host.call('node-b', procedure, { body }));
      assert.equal((await call('echo', 1)).body, 1);
      await assert.rejects(call('echo', LARGE), tooLarge);
      await assert.rejects(call('large', null), tooLarge);
      await assert.rejects(call('largeLater', null), tooLarge);
      // A name that was not sent with the refused request is sent with the next one.
      b.host.handle('fresh', ({ body }) => ({ body }));
      await assert.rejects(call('fresh', LARGE), tooLarge);
      assert.equal((await call('fresh', 2)).body, 2);
      assert.equal(disconnects, 0);
    });
  });
}
