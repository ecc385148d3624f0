// Contestant: the limit in Node. Two TLS sockets between the same two processes, one for beats of
// 8 bytes, one for bulk bytes that land in one buffer; no names, lanes, credit or checks.
import { once } from 'node:events';
import tls from 'node:tls';
import { readWorkload, report } from '../harness.ts';
import { createCredentials, SERVER_NAME } from '../messaging/certificates.ts';
import { serve, startServer } from '../messaging/server-process.ts';
import { Beats, sleep } from './measure.ts';
import type { AddressInfo } from 'node:net';
import type { Credentials } from '../../src/identity/index.ts';
import type { InterferenceWorkload } from './flotilla.ts';

const MIB = 1024 * 1024;
const PIECE_BYTES = 256 * 1024;
const READ_BYTES = 64 * 1024;
const BEAT_BYTES = 8;
/** The first byte on a socket says what it is for. */
const FOR_BEATS = 0;
const FOR_BULK = 1;
const workload = readWorkload<InterferenceWorkload>();

function tlsOptions({ privateKeyPem, certificatePem, caPem }: Credentials) {
  return { key: privateKeyPem, cert: certificatePem, ca: caPem, minVersion: 'TLSv1.3' as const };
}

async function startPeer(credentials: Credentials): Promise<object> {
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES).fill(7);
  const onSocket = (socket: tls.TLSSocket) => {
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.once('data', ([purpose]: Buffer) => {
      if (purpose === FOR_BEATS) {
        socket.on('data', (beats: Buffer) => socket.write(beats));
        return;
      }
      // One piece a turn: with the next one written at once, beats would wait for 50 to 500 ms.
      const write = () => {
        if (!socket.destroyed) socket.write(piece, () => setImmediate(write));
      };
      write();
    });
  };
  const server = tls.createServer({ ...tlsOptions(credentials), requestCert: true }, onSocket);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { port: (server.address() as AddressInfo).port };
}

async function connect(port: number, purpose: number, more: object): Promise<tls.TLSSocket> {
  const options = { host: '127.0.0.1', port, servername: SERVER_NAME, ...more };
  const socket = tls.connect(options as tls.ConnectionOptions);
  await once(socket, 'secureConnect');
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.write(Uint8Array.of(purpose));
  return socket;
}

/** Calls `onBeat` with each number that comes back. */
function readBeats(socket: tls.TLSSocket, onBeat: (beat: number) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (; rest.length >= BEAT_BYTES; rest = rest.subarray(BEAT_BYTES)) {
      onBeat(rest.readUInt32LE(0));
    }
  });
}

/** Counts the bytes of a bulk socket as they come. */
class BulkSocket {
  #wanted = 0;
  #onEnough: (() => void) | undefined;
  #socket: tls.TLSSocket | undefined;

  async open(port: number, secure: object): Promise<void> {
    const onread = {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (count: number) => {
        this.#wanted -= count;
        if (this.#wanted <= 0) this.#onEnough?.();
        return true;
      },
    };
    this.#socket = await connect(port, FOR_BULK, { ...secure, onread });
  }

  /** MiB per second over the next `bytes`. */
  async receive(bytes: number): Promise<number> {
    const startedAt = performance.now();
    await new Promise<void>((resolve) => {
      this.#wanted = bytes;
      this.#onEnough = resolve;
    });
    return bytes / MIB / ((performance.now() - startedAt) / 1000);
  }

  close(): void {
    this.#socket?.destroy();
  }
}

async function measure(): Promise<void> {
  const { client, server } = await createCredentials();
  const { ready, stop } = await startServer<{ port: number }>(import.meta.filename, server);
  const socket = await connect(ready.port, FOR_BEATS, tlsOptions(client));
  const bytes = Buffer.alloc(BEAT_BYTES);
  const beats = new Beats((beat) => {
    bytes.writeUInt32LE(beat, 0);
    socket.write(Buffer.from(bytes));
  });
  readBeats(socket, beats.returned);

  const { everyMs, idleMs, warmUpMs, warmUpBytes, bulkBytes } = workload;
  await beats.during(everyMs, sleep(warmUpMs));
  const idle = await beats.during(everyMs, sleep(idleMs));
  const bulk = new BulkSocket();
  await bulk.open(ready.port, tlsOptions(client));
  await beats.during(everyMs, bulk.receive(warmUpBytes));
  const transfer = bulk.receive(bulkBytes);
  const busy = await beats.during(everyMs, transfer);
  const mibPerSecond = await transfer;
  bulk.close();
  socket.destroy();
  await stop();
  report({
    idleP50Us: idle.p50Us,
    idleP99Us: idle.p99Us,
    busyP50Us: busy.p50Us,
    busyP99Us: busy.p99Us,
    mibPerSecond,
  });
}

if (process.argv[3] === 'server') serve<Credentials>(startPeer);
else await measure();
