// Contestant: control messages there and back between two processes, first alone, then while the
// other end sends bulk bytes the whole time. Modes: `tls`; `quic`, as preset `wan` has it, with the
// bulk socket over TLS; `quic-alone`, where nothing but UDP gets through.
import { hasCode, silentLogger, systemClock } from '../../src/core/index.ts';
import { PeerHost } from '../../src/peer/index.ts';
import { QuicTransport, TlsTransport } from '../../src/transport/index.ts';
import { readMode, readWorkload, report, reportUnavailable } from '../harness.ts';
import { CLIENT_NAME, createCredentials, SERVER_NAME } from '../messaging/certificates.ts';
import { serve, startServer } from '../messaging/server-process.ts';
import { Beats, sleep } from './measure.ts';
import type { Credentials } from '../../src/identity/index.ts';
import type { Peer } from '../../src/peer/index.ts';
import type { Transport } from '../../src/transport/index.ts';

export type InterferenceWorkload = Readonly<{
  /** Bytes of the transfer; it is broken off after `maxMs`. */
  bulkBytes: number;
  /** What goes first, unmeasured: the bulk socket is opened, the code gets warm. */
  warmUpBytes: number;
  blockBytes: number;
  maxMs: number;
  idleMs: number;
  warmUpMs: number;
  everyMs: number;
  /** Share of the packets that a lossy network loses. */
  loss: number;
}>;

type Mode = 'tls' | 'quic' | 'quic-alone';

interface Setup {
  readonly credentials: Credentials;
  readonly mode: Mode;
}

const MIB = 1024 * 1024;
const NOTHING = { body: null };
const workload = readWorkload<InterferenceWorkload>();

function createHost({ credentials, mode }: Setup): PeerHost {
  const components = { credentials, clock: systemClock, log: silentLogger };
  const create = (): Transport => {
    if (mode === 'tls') return new TlsTransport(components);
    return new QuicTransport(components, { bulk: mode === 'quic' });
  };
  return new PeerHost({ transport: create(), clock: systemClock, log: silentLogger });
}

async function startPeer(setup: Setup): Promise<object> {
  const host = createHost(setup);
  const block = Buffer.allocUnsafeSlow(workload.blockBytes).fill(7);
  let sending = false;
  const sendAll = async (peer: Peer) => {
    while (sending) await peer.raw.send(block);
  };
  host.onControl('beat', (beat) => void host.sendControl(CLIENT_NAME, 'return', beat));
  host.handle('start', () => {
    sending = true;
    // What is on its way when the bench is over has nobody to go to.
    sendAll(host.peer(CLIENT_NAME)!).catch(() => {});
    return NOTHING;
  });
  host.handle('halt', () => {
    sending = false;
    return NOTHING;
  });
  return host.listen({ host: '127.0.0.1', port: 0 });
}

/** Takes bytes until there are enough of them, or for long enough. MiB per second. */
async function receive(host: PeerHost, peer: Peer, total: number): Promise<number> {
  const { maxMs } = workload;
  const startedAt = performance.now();
  const into = new Uint8Array(workload.blockBytes);
  let bytes = 0;
  let elapsedMs = 0;
  await host.call(SERVER_NAME, 'start', NOTHING);
  while (bytes < total && elapsedMs < maxMs) {
    bytes += (await peer.raw.receive({ into, timeoutMs: 100_000 })).length;
    elapsedMs = performance.now() - startedAt;
  }
  await host.call(SERVER_NAME, 'halt', NOTHING);
  return bytes / MIB / (elapsedMs / 1000);
}

async function measure(mode: Mode): Promise<void> {
  const { client, server } = await createCredentials();
  const host = createHost({ credentials: client, mode });
  const setup: Setup = { credentials: server, mode };
  const { ready, stop } = await startServer<{ port: number }>(import.meta.filename, setup);
  const peer = await host.connect(`127.0.0.1:${ready.port}`);
  const beats = new Beats((beat) => void host.sendControl(SERVER_NAME, 'beat', beat));
  host.onControl('return', (beat) => beats.returned(beat as number));

  const { everyMs, idleMs, warmUpMs, warmUpBytes, bulkBytes } = workload;
  await beats.during(everyMs, sleep(warmUpMs));
  const idle = await beats.during(everyMs, sleep(idleMs));
  await beats.during(everyMs, receive(host, peer, warmUpBytes));
  const transfer = receive(host, peer, bulkBytes);
  const busy = await beats.during(everyMs, transfer);
  const mibPerSecond = await transfer;
  await host.stop();
  await stop();
  report({
    idleP50Us: idle.p50Us,
    idleP99Us: idle.p99Us,
    busyP50Us: busy.p50Us,
    busyP99Us: busy.p99Us,
    mibPerSecond,
  });
}

async function main(mode: Mode): Promise<void> {
  try {
    await measure(mode);
  } catch (error) {
    if (!hasCode(error, 'quic_unavailable')) throw error;
    reportUnavailable(error.message);
  }
}

const mode = readMode();
if (mode === 'server') serve<Setup>(startPeer);
else await main(mode as Mode);
