// Connections share the memory that they write from. What one of them still has to send must not
// be written over by what others send meanwhile.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { RawClient, startServer } from './support.ts';

/** Below what is sent by reference, so that all of it is copied into the shared memory. */
const CHUNK_BYTES = 8 * 1024;
const CHUNKS = 4_096;
const QUICK_ANSWERS = 500;

test('what a slow reader has not taken is not written over by the answers of others', async (t) => {
  const chunkOf = (name: string) => Buffer.alloc(CHUNK_BYTES, name);
  const whole = Promise.withResolvers<void>();
  const { port } = await startServer(t, (exchange) => {
    if (exchange.target === '/quick') {
      exchange.respond(200, []);
      exchange.end(chunkOf('q'));
      return;
    }
    // Far more than the socket takes, regardless of `write` saying so.
    exchange.respond(200, ['content-length', String(CHUNK_BYTES * CHUNKS)]);
    for (let count = 0; count < CHUNKS; count++) exchange.write(chunkOf('s'));
    exchange.end();
    whole.resolve();
  });
  const slow = new RawClient(port);
  t.after(() => slow.socket.destroy());
  slow.socket.pause();
  slow.socket.write('GET /slow HTTP/1.1\r\nhost: a\r\n\r\n');
  await whole.promise;

  const quick = new RawClient(port);
  t.after(() => quick.socket.destroy());
  for (let count = 1; count <= QUICK_ANSWERS; count++) {
    quick.socket.write('GET /quick HTTP/1.1\r\nhost: a\r\n\r\n');
    await quick.until(() => quick.text.endsWith('q'.repeat(CHUNK_BYTES)));
    assert.doesNotMatch(quick.text, /s{8}/);
    quick.text = '';
  }

  let read = 0;
  slow.socket.removeAllListeners('data');
  let head = true;
  slow.socket.on('data', (chunk: Buffer) => {
    let body = chunk;
    if (head) {
      body = chunk.subarray(chunk.indexOf('\r\n\r\n') + 4);
      head = false;
    }
    read += body.length;
    if (body.some((byte) => byte !== 's'.charCodeAt(0))) slow.socket.destroy();
    if (read === CHUNK_BYTES * CHUNKS) slow.socket.end();
  });
  slow.socket.resume();
  await once(slow.socket, 'close');
  assert.equal(read, CHUNK_BYTES * CHUNKS);
});
