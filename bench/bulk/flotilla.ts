// Contestant: the raw lane of a `Peer`, and RPC with large payloads, over TLS; with the mode `quic`
// over the QUIC transport. The one that dials sends; a second figure is for the other direction.
import { silentLogger, systemClock } from '../../src/core/index.ts';
import { PeerHost } from '../../src/peer/index.ts';
import { readMode, readWorkload, report } from '../harness.ts';
import { createCredentials, SERVER_NAME } from '../messaging/certificates.ts';
import { serve, startServer } from '../messaging/server-process.ts';
import { createTransport } from '../messaging/transports.ts';
import { Counter, makeBlock, measureTransfers } from './measure.ts';
import type { Credentials } from '../../src/identity/index.ts';
import type { Payload, Peer } from '../../src/peer/index.ts';
import type { TransportKind } from '../messaging/transports.ts';
import type { BulkWorkload } from './measure.ts';

interface Setup {
  readonly credentials: Credentials;
  readonly kind: TransportKind;
}

const NOTHING: Payload = { body: null };
const workload = readWorkload<BulkWorkload>();
const { totalBytes, blockBytes, callBytes, callsInFlight } = workload;

function createHost({ credentials, kind }: Setup): PeerHost {
  const transport = createTransport(kind, credentials);
  return new PeerHost({ transport, clock: systemClock, log: silentLogger });
}

async function sendAll(peer: Peer, block: Buffer): Promise<void> {
  for (let sent = 0; sent < totalBytes; sent += block.length) await peer.raw.send(block);
}

/** Receives until the connection ends. */
async function receiveAll(peer: Peer, counter: Counter): Promise<void> {
  try {
    for (;;) counter.add((await peer.raw.receive({ timeoutMs: 600_000 })).length);
  } catch {
    // The connection is over, and with it the bench.
  }
}

async function startPeer(setup: Setup): Promise<object> {
  const host = createHost(setup);
  const counter = new Counter();
  const block = makeBlock(blockBytes);
  host.onConnect((peer) => void receiveAll(peer, counter));
  host.handle('whole', async () => {
    await counter.whole(totalBytes);
    return NOTHING;
  });
  host.handle('pull', (_request, { peer }) => {
    void sendAll(host.peer(peer)!, block);
    return NOTHING;
  });
  host.handle('take', ({ bytes }) => {
    if (bytes?.length !== callBytes) throw new Error(`a request of ${bytes?.length} bytes`);
    return NOTHING;
  });
  return host.listen({ host: '127.0.0.1', port: 0 });
}

async function main(kind: TransportKind): Promise<void> {
  const { client, server } = await createCredentials();
  const host = createHost({ credentials: client, kind });
  const setup: Setup = { credentials: server, kind };
  const { ready, stop } = await startServer<{ port: number }>(import.meta.filename, setup);
  const peer = await host.connect(`127.0.0.1:${ready.port}`);

  const block = makeBlock(blockBytes);
  const mibPerSecond = await measureTransfers(workload, async () => {
    const whole = host.call(SERVER_NAME, 'whole', NOTHING);
    await sendAll(peer, block);
    await whole;
  });

  const counter = new Counter();
  void receiveAll(peer, counter);
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
  report({ mibPerSecond, receiverDialsMibPerSecond, rpcMibPerSecond });
}

const mode = readMode();
if (mode === 'server') serve<Setup>(startPeer);
else await main(mode === 'quic' ? 'quic' : 'tls');
