// Contestant: libp2p over TCP with Noise and Yamux. Length-prefixed frames on one long stream,
// those of a tick joined into one write, in its favour; answers keep the order of requests, so that
// none needs a number. With the mode `streams` a stream per call, as its ping and identify do.
import { loadPeer } from '../peers/load.ts';
import { readMode, readWorkload, report } from '../harness.ts';
import { measureCalls } from './measure.ts';
import { serve, startServer } from './server-process.ts';
import type { MessagingWorkload } from './measure.ts';

interface Stream {
  send(bytes: Uint8Array): boolean;
  onDrain(): Promise<void>;
  close(): Promise<void>;
  addEventListener(type: 'message', listener: (event: { data: Bytes }) => void): void;
  addEventListener(type: 'remoteCloseWrite', listener: () => void): void;
}

/** A `Uint8Array`, or a list of them that `subarray` joins. */
interface Bytes {
  subarray(): Uint8Array;
}

interface StreamLimits {
  readonly maxInboundStreams: number;
  readonly maxOutboundStreams: number;
}

interface Node {
  getMultiaddrs(): readonly { toString(): string }[];
  handle(protocol: string, handler: (stream: Stream) => void, limits: StreamLimits): Promise<void>;
  dial(address: unknown): Promise<Connection>;
  stop(): Promise<void>;
}

interface Connection {
  newStream(protocol: string, limits: StreamLimits): Promise<Stream>;
}

const LONG = '/bench/long/1.0.0';
const EACH = '/bench/each/1.0.0';
const LIMITS: StreamLimits = { maxInboundStreams: 100_000, maxOutboundStreams: 100_000 };
const HEADER_BYTES = 4;
const PAGE_BYTES = 64 * 1024;

type Component = () => unknown;
const { createLibp2p } = await loadPeer<{ createLibp2p(options: object): Promise<Node> }>('libp2p');
const { tcp } = await loadPeer<{ tcp: Component }>('@libp2p/tcp');
const { noise } = await loadPeer<{ noise: Component }>('@chainsafe/libp2p-noise');
const { yamux } = await loadPeer<{ yamux(options: object): unknown }>('@chainsafe/libp2p-yamux');
const { multiaddr } = await loadPeer<{ multiaddr(text: string): unknown }>(
  '@multiformats/multiaddr',
);

function createNode(listen: readonly string[]): Promise<Node> {
  return createLibp2p({
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ ...LIMITS, maxEarlyStreams: LIMITS.maxInboundStreams })],
  });
}

/** Frames `[length u32][bytes]` on a stream. */
class Framing {
  readonly #stream: Stream;
  readonly #onFrame: (bytes: Uint8Array) => void;
  #page = Buffer.allocUnsafe(PAGE_BYTES);
  #used = 0;
  #scheduled = false;
  #pumping = false;
  readonly #outgoing: Uint8Array[] = [];
  /** What is left of a frame that was not whole. */
  #rest: Uint8Array[] = [];
  #restBytes = 0;
  #wanted = HEADER_BYTES;

  constructor(stream: Stream, onFrame: (bytes: Uint8Array) => void) {
    this.#stream = stream;
    this.#onFrame = onFrame;
    stream.addEventListener('message', ({ data }) => this.#feed(data.subarray()));
  }

  send(bytes: Uint8Array): void {
    const size = HEADER_BYTES + bytes.length;
    if (this.#used + size > PAGE_BYTES) this.#finishPage();
    const whole = size <= PAGE_BYTES;
    this.#page.writeUInt32LE(bytes.length, this.#used);
    if (whole) this.#page.set(bytes, this.#used + HEADER_BYTES);
    this.#used += whole ? size : HEADER_BYTES;
    if (!whole) {
      this.#finishPage();
      this.#outgoing.push(bytes);
    }
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(() => {
      this.#scheduled = false;
      this.#finishPage();
      if (!this.#pumping) void this.#pump();
    });
  }

  #finishPage(): void {
    if (this.#used === 0) return;
    this.#outgoing.push(this.#page.subarray(0, this.#used));
    this.#page = Buffer.allocUnsafe(PAGE_BYTES);
    this.#used = 0;
  }

  async #pump(): Promise<void> {
    this.#pumping = true;
    for (let bytes = this.#outgoing.shift(); bytes !== undefined; bytes = this.#outgoing.shift()) {
      if (!this.#stream.send(bytes)) await this.#stream.onDrain();
    }
    this.#pumping = false;
  }

  #feed(chunk: Uint8Array): void {
    this.#rest.push(chunk);
    this.#restBytes += chunk.length;
    if (this.#restBytes < this.#wanted) return;
    const buffer = this.#rest.length === 1 ? asBuffer(chunk) : Buffer.concat(this.#rest);
    let at = 0;
    this.#wanted = HEADER_BYTES;
    while (buffer.length - at >= HEADER_BYTES) {
      this.#wanted = HEADER_BYTES + buffer.readUInt32LE(at);
      if (buffer.length - at < this.#wanted) break;
      const bytesAt = at + HEADER_BYTES;
      at += this.#wanted;
      this.#wanted = HEADER_BYTES;
      this.#onFrame(buffer.subarray(bytesAt, at));
    }
    this.#restBytes = buffer.length - at;
    this.#rest = this.#restBytes === 0 ? [] : [buffer.subarray(at)];
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Resolves with everything that the other end sends before it closes its direction. */
function readAll(stream: Stream): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  return new Promise((resolve) => {
    stream.addEventListener('message', ({ data }) => void parts.push(data.subarray()));
    stream.addEventListener('remoteCloseWrite', () => {
      resolve(parts.length === 1 ? parts[0]! : Buffer.concat(parts));
    });
  });
}

async function sendAll(stream: Stream, bytes: Uint8Array): Promise<void> {
  if (!stream.send(bytes)) await stream.onDrain();
  await stream.close();
}

async function startEcho(): Promise<{ address: string }> {
  const node = await createNode(['/ip4/127.0.0.1/tcp/0']);
  const echoFrames = (stream: Stream) => {
    const framing = new Framing(stream, (bytes) => framing.send(bytes));
  };
  const echoAll = (stream: Stream) => {
    void readAll(stream).then((bytes) => sendAll(stream, bytes));
  };
  await node.handle(LONG, echoFrames, LIMITS);
  await node.handle(EACH, echoAll, LIMITS);
  return { address: String(node.getMultiaddrs()[0]) };
}

async function main(mode: string): Promise<void> {
  const { ready, pid, stop } = await startServer<{ address: string }>(import.meta.filename, {});
  const node = await createNode([]);
  const connection = await node.dial(multiaddr(ready.address));
  let call: (bytes: Uint8Array) => Promise<Uint8Array>;
  if (mode === 'streams') {
    call = async (bytes) => {
      const stream = await connection.newStream(EACH, LIMITS);
      const response = readAll(stream);
      await sendAll(stream, bytes);
      return response;
    };
  } else {
    const waiting: ((response: Uint8Array) => void)[] = [];
    let taken = 0;
    const framing = new Framing(await connection.newStream(LONG, LIMITS), (bytes) => {
      waiting[taken++]?.(bytes);
      if (taken < 4096 && taken < waiting.length) return;
      waiting.splice(0, taken);
      taken = 0;
    });
    call = (bytes) =>
      new Promise((resolve) => {
        waiting.push(resolve);
        framing.send(bytes);
      });
  }
  const figures = await measureCalls(readWorkload<MessagingWorkload>(), call, pid);
  await node.stop();
  await stop();
  report(figures);
}

const mode = readMode();
if (mode === 'server') serve(startEcho);
else await main(mode);
