// Contestants: quinn from Node. `wrapper` sends through the streams of `@chainsafe/libp2p-quic` as
// libp2p uses them, `binding` through the native streams beneath: the limit for a QUIC transport.
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { PEERS_FOLDER, loadPeer } from '../peers/load.ts';
import { readMode, readWorkload, report } from '../harness.ts';
import { serve, startServer } from '../messaging/server-process.ts';
import { Counter, makeBlock, measureTransfers } from './measure.ts';
import type { BulkWorkload } from './measure.ts';

/** A stream of the binding. */
interface NativeStream {
  write(bytes: Uint8Array): Promise<void>;
  read(maxBytes: number): Promise<Uint8Array | null>;
}

interface NativeConnection {
  inboundStream(): Promise<NativeStream>;
  outboundStream(): Promise<NativeStream>;
}

interface Native {
  readonly QuinnConfig: new (options: object) => object;
  readonly Client: new (
    config: object,
    family: number,
  ) => {
    outboundConnection(address: string, port: number): Promise<NativeConnection>;
  };
  readonly Server: new (
    config: object,
    address: string,
    port: number,
  ) => {
    port(): number;
    inboundConnection(): Promise<NativeConnection>;
  };
}

/** A stream of libp2p: an event target that says `drain` when it takes more. */
interface WrappedStream extends EventTarget {
  send(bytes: Uint8Array): boolean;
}

interface Muxer extends EventTarget {
  createStream(): Promise<WrappedStream>;
}

interface UpgradeOptions {
  readonly muxerFactory: { createStreamMuxer(connection: object): Muxer };
}

interface QuicTransport {
  dial(address: object, options: { upgrader: object }): Promise<Muxer>;
  createListener(options: { upgrader: object }): {
    listen(address: object): Promise<void>;
    getAddrs(): readonly { toString(): string }[];
  };
}

interface Quic {
  readonly defaultOptions: object;
  quic(): (components: object) => QuicTransport;
}

interface Keys {
  generateKeyPair(type: 'Ed25519'): Promise<object>;
  privateKeyToProtobuf(key: object): Uint8Array;
}

interface Multiaddr {
  multiaddr(text: string): object;
}

/** The two ends: each gives what sends a block, or counts what arrives. */
interface Ends {
  send(port: number): Promise<(block: Buffer) => Promise<void> | undefined>;
  receive(counter: Counter): Promise<number>;
}

const LOOPBACK = '127.0.0.1';
const READ_BYTES = 256 * 1024;
const workload = readWorkload<BulkWorkload>();

const library = await loadPeer<Quic>('@chainsafe/libp2p-quic');
const keys = await loadPeer<Keys>('@libp2p/crypto/keys');

async function bindingEnds(): Promise<Ends> {
  // Not among the exports of the package.
  const file = path.join(PEERS_FOLDER, '@chainsafe/libp2p-quic/dist/src/napi.js');
  const native = (await import(pathToFileURL(file).href)) as Native;
  const key = keys.privateKeyToProtobuf(await keys.generateKeyPair('Ed25519'));
  const config = new native.QuinnConfig({ ...library.defaultOptions, privateKeyProto: key });
  return {
    async send(port) {
      const client = new native.Client(config, 0);
      const stream = await (await client.outboundConnection(LOOPBACK, port)).outboundStream();
      return (block) => stream.write(block);
    },
    async receive(counter) {
      const server = new native.Server(config, LOOPBACK, 0);
      const read = async () => {
        const stream = await (await server.inboundConnection()).inboundStream();
        for (;;) {
          const bytes = await stream.read(READ_BYTES);
          if (bytes === null) return;
          counter.add(bytes.length);
        }
      };
      void read().catch(() => {});
      return server.port();
    },
  };
}

async function wrapperEnds(): Promise<Ends> {
  const { defaultLogger } = await loadPeer<{ defaultLogger(): object }>('@libp2p/logger');
  const { multiaddr } = await loadPeer<Multiaddr>('@multiformats/multiaddr');
  const privateKey = await keys.generateKeyPair('Ed25519');
  const transport = library.quic()({ privateKey, logger: defaultLogger() });
  const upgrade = async (connection: object, { muxerFactory }: UpgradeOptions) =>
    muxerFactory.createStreamMuxer(connection);
  return {
    async send(port) {
      const address = multiaddr(`/ip4/${LOOPBACK}/udp/${port}/quic-v1`);
      const muxer = await transport.dial(address, { upgrader: { upgradeOutbound: upgrade } });
      const stream = await muxer.createStream();
      let drained: (() => void) | undefined;
      stream.addEventListener('drain', () => drained?.());
      return (block) => {
        if (stream.send(block)) return undefined;
        return new Promise((resolve) => {
          drained = resolve;
        });
      };
    },
    async receive(counter) {
      const upgradeInbound = async (connection: object, options: UpgradeOptions) => {
        const muxer = await upgrade(connection, options);
        muxer.addEventListener('stream', (event) => {
          const stream = (event as CustomEvent<WrappedStream>).detail;
          stream.addEventListener('message', (message) => {
            counter.add((message as MessageEvent<{ byteLength: number }>).data.byteLength);
          });
        });
      };
      const listener = transport.createListener({ upgrader: { upgradeInbound } });
      await listener.listen(multiaddr(`/ip4/${LOOPBACK}/udp/0/quic-v1`));
      return Number(/udp\/(\d+)/.exec(String(listener.getAddrs()[0]))?.[1]);
    },
  };
}

type Kind = 'wrapper' | 'binding';

const endsOf = (kind: Kind) => (kind === 'wrapper' ? wrapperEnds() : bindingEnds());

/** The receiver says that a transfer is whole over IPC. */
async function startReceiver({ kind }: { kind: Kind }): Promise<object> {
  const counter = new Counter();
  const port = await (await endsOf(kind)).receive(counter);
  const tell = async () => {
    for (;;) {
      await counter.whole(workload.totalBytes);
      process.send?.('whole');
    }
  };
  void tell();
  return { port };
}

async function main(kind: Kind): Promise<void> {
  const server = await startServer<{ port: number }>(import.meta.filename, { kind });
  const send = await (await endsOf(kind)).send(server.ready.port);
  const block = makeBlock(workload.blockBytes);
  const mibPerSecond = await measureTransfers(workload, async () => {
    const whole = server.nextMessage();
    for (let sent = 0; sent < workload.totalBytes; sent += block.length) await send(block);
    await whole;
  });
  await server.stop();
  report({ mibPerSecond });
  // The binding's sockets keep the process alive.
  process.exit(0);
}

const mode = readMode();
if (mode === 'server') serve<{ kind: Kind }>(startReceiver);
else await main(mode === 'binding' ? 'binding' : 'wrapper');
