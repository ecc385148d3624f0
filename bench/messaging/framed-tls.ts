// Contestant: the limit in Node. One TLS socket, frames of a number, a length and the bytes, all
// of a tick in one write, a promise per call; no names, deadlines, lanes, checks or limits.
import tls from 'node:tls';
import { readMode, readWorkload, report } from '../harness.ts';
import { createCredentials, SERVER_NAME } from './certificates.ts';
import { measureCalls } from './measure.ts';
import { serve, startServer } from './server-process.ts';
import type { AddressInfo } from 'node:net';
import type { Credentials } from '../../src/identity/index.ts';
import type { MessagingWorkload } from './measure.ts';

const HEADER_BYTES = 8;
const PAGE_BYTES = 64 * 1024;

type OnFrame = (id: number, bytes: Uint8Array) => void;

class Framing {
  readonly #socket: tls.TLSSocket;
  readonly #onFrame: OnFrame;
  #page = Buffer.allocUnsafe(PAGE_BYTES);
  #used = 0;
  #scheduled = false;
  /** What is left of a frame that was not whole. */
  #rest: Buffer[] = [];
  #restBytes = 0;
  #wanted = HEADER_BYTES;

  constructor(socket: tls.TLSSocket, onFrame: OnFrame) {
    this.#socket = socket;
    this.#onFrame = onFrame;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#feed(chunk));
  }

  send(id: number, bytes: Uint8Array): void {
    const size = HEADER_BYTES + bytes.length;
    if (this.#used + size > PAGE_BYTES) this.#flush();
    if (size > PAGE_BYTES) {
      const header = Buffer.allocUnsafe(HEADER_BYTES);
      header.writeUInt32LE(id, 0);
      header.writeUInt32LE(bytes.length, 4);
      this.#socket.write(header);
      this.#socket.write(bytes);
      return;
    }
    this.#page.writeUInt32LE(id, this.#used);
    this.#page.writeUInt32LE(bytes.length, this.#used + 4);
    this.#page.set(bytes, this.#used + HEADER_BYTES);
    this.#used += size;
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#used === 0) return;
    this.#socket.write(this.#page.subarray(0, this.#used));
    this.#page = Buffer.allocUnsafe(PAGE_BYTES);
    this.#used = 0;
  }

  #feed(chunk: Buffer): void {
    let buffer = chunk;
    if (this.#restBytes > 0) {
      this.#rest.push(chunk);
      this.#restBytes += chunk.length;
      if (this.#restBytes < this.#wanted) return;
      buffer = Buffer.concat(this.#rest, this.#restBytes);
      this.#rest = [];
      this.#restBytes = 0;
    }
    let at = 0;
    this.#wanted = HEADER_BYTES;
    while (buffer.length - at >= HEADER_BYTES) {
      const length = buffer.readUInt32LE(at + 4);
      this.#wanted = HEADER_BYTES + length;
      if (buffer.length - at < this.#wanted) break;
      const bytesAt = at + HEADER_BYTES;
      at += this.#wanted;
      this.#wanted = HEADER_BYTES;
      this.#onFrame(buffer.readUInt32LE(bytesAt - HEADER_BYTES), buffer.subarray(bytesAt, at));
    }
    if (at === buffer.length) return;
    this.#rest = [buffer.subarray(at)];
    this.#restBytes = buffer.length - at;
  }
}

function startEcho(credentials: Credentials): Promise<{ port: number }> {
  const { certificatePem: cert, privateKeyPem: key } = credentials;
  const server = tls.createServer({ cert, key, minVersion: 'TLSv1.3' }, (socket) => {
    socket.on('error', () => socket.destroy());
    const framing = new Framing(socket, (id, bytes) => framing.send(id, bytes));
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve({ port: (server.address() as AddressInfo).port });
    });
  });
}

async function main(): Promise<void> {
  const { server, client } = await createCredentials();
  const { ready, pid, stop } = await startServer<{ port: number }>(import.meta.filename, server);
  const socket = tls.connect({
    host: '127.0.0.1',
    port: ready.port,
    ca: client.caPem,
    servername: SERVER_NAME,
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve).once('error', reject);
  });
  const waiting = new Map<number, (response: Uint8Array) => void>();
  const framing = new Framing(socket, (id, bytes) => {
    const resolve = waiting.get(id);
    waiting.delete(id);
    resolve?.(bytes);
  });
  let nextId = 0;
  const figures = await measureCalls(
    readWorkload<MessagingWorkload>(),
    (bytes) =>
      new Promise((resolve) => {
        const id = nextId++ >>> 0;
        waiting.set(id, resolve);
        framing.send(id, bytes);
      }),
    pid,
  );
  socket.destroy();
  await stop();
  report(figures);
}

if (readMode() === 'server') serve<Credentials>(startEcho);
else await main();
