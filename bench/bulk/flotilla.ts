// Contestant: the raw lane of a `Peer`, and RPC with large payloads, over TLS; with the mode `quic`
// over the QUIC transport. Both ends listen, as the nodes of a fleet do. The one that dials sends;
// further figures are for the other direction, and for a receiver that keeps what it gets.
import { silentLogger, systemClock } from '../../src/core/index.ts';
import { PeerHost, releaseBytes } from '../../src/peer/index.ts';
import { readMode, readWorkload, report } from '../harness.ts';
import { createCredentials, SERVER_NAME } from '../messaging/certificates.ts';
import { serve, startServer } from '../messaging/server-process.ts';
import { createTransport } from '../messaging/transports.ts';
import { Counter, makeBlock, measureTransfers } from './measure.ts';
import type { Credentials } from '../../src/identity/index.ts';
import type { Payload, Peer, RawChannel } from '../../src/peer/index.ts';
import type { TransportKind } from '../messaging/transports.ts';
import type { BulkWorkload } from './measure.ts';

interface Setup {
  readonly credentials: Credentials;
  readonly kind: TransportKind;
}

const NOTHING: Payload = { body: null };
const LOOPBACK = { host: '127.0.0.1', port: 0 };
const workload = readWorkload<BulkWorkload>();
const { totalBytes, blockBytes, callBytes, callsInFlight } = workload;

function createHost({ credentials, kind }: Setup): PeerHost {
  const transport = createTransport(kind, credentials);
  return new PeerHost({ transport, clock: systemClock, log: silentLogger });
}

/** The channel on which a receiver keeps what it gets. */
const kept = (peer: Peer) => peer.tag(1n);

async function sendAll(channel: RawChannel, block: Buffer): Promise<void> {
  for (let sent = 0; sent < totalBytes; sent += block.length) await channel.send(block);
}

/** Receives until the connection ends, each message in memory of its own or all in the same. */
async function receiveAll(channel: RawChannel, counter: Counter, into?: Uint8Array) {
  const options = { timeoutMs: 600_000, ...(into !== undefined && { into }) };
  try {
    for (;;) counter.add((await channel.receive(options)).length);
  } catch {
    // The connection is over, and with it the bench.
  }
}

async function startPeer(setup: Setup): Promise<object> {
  const host = createHost(setup);
  const counter = new Counter();
  const block = makeBlock(blockBytes);
  host.onConnect((peer) => {
    void receiveAll(peer.raw, counter, Buffer.allocUnsafeSlow(blockBytes));
    void receiveAll(kept(peer), counter);
  });
  host.handle('whole', async () => {
    await counter.whole(totalBytes);
    return NOTHING;
  });
  host.handle('pull', (_request, { peer }) => {
    void sendAll(host.peer(peer)!.raw, block);
    return NOTHING;
  });
  host.handle('take', ({ bytes }) => {
    if (bytes?.length !== callBytes) throw new Error(`a request of ${bytes?.length} bytes`);
    releaseBytes(bytes);
    return NOTHING;
  });
  return host.listen(LOOPBACK);
}

async function main(kind: TransportKind): Promise<void> {
  const { client, server } = await createCredentials();
  const host = createHost({ credentials: client, kind });
  const setup: Setup = { credentials: server, kind };
  const { ready, stop } = await startServer<{ port: number }>(import.meta.filename, setup);
  await host.listen(LOOPBACK);
  const peer = await host.connect(`127.0.0.1:${ready.port}`);

  const block = makeBlock(blockBytes);
  const measureSending = (channel: RawChannel) =>
    measureTransfers(workload, async () => {
      const whole = host.call(SERVER_NAME, 'whole', NOTHING);
      await sendAll(channel, block);
      await whole;
    });
  const mibPerSecond = await measureSending(peer.raw);
  const keptMibPerSecond = await measureSending(kept(peer));

  const counter = new Counter();
  void receiveAll(peer.raw, counter, Buffer.allocUnsafeSlow(blockBytes));
  const receiverDialsMibPerSecond = await measureTransfers(workload, async () => {
    const whole = counter.whole(totalBytes);
    await host.call(SERVER_NAME, 'pull', NOTHING);
    await whole;
  });

  const bytes = makeBlock(callBytes);
  const rpcMibPerSecond = await measureTransfers(workload, async () => {
    let left = totalBytes / callBytes;
    const loop = async () => {
      while (left-- > 0) await host.call(SERVER_NAME, 'take', { body: null, bytes });
    };
    await Promise.all(Array.from({ length: callsInFlight }, loop));
  });

  await host.stop();
  await stop();
  report({ mibPerSecond, keptMibPerSecond, receiverDialsMibPerSecond, rpcMibPerSecond });
}

const mode = readMode();
if (mode === 'server') serve<Setup>(startPeer);
else await main(mode === 'quic' ? 'quic' : 'tls');
