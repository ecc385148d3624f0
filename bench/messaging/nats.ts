// Contestant: NATS request and reply over TLS 1.3. Requester and responder are Node processes, the
// server between them is `nats-server`, from the path or from the folder that NATS_SERVER_DIR
// names.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { loadPeer } from '../peers/load.ts';
import { readMode, readWorkload, report, reportUnavailable } from '../harness.ts';
import { createCredentials, SERVER_NAME } from './certificates.ts';
import { measureCalls } from './measure.ts';
import { serve, startServer } from './server-process.ts';
import type { AddressInfo } from 'node:net';
import type { Credentials } from '../../src/identity/index.ts';
import type { MessagingWorkload } from './measure.ts';

interface Message {
  readonly data: Uint8Array;
  respond(data: Uint8Array): boolean;
}

interface Connection {
  subscribe(
    subject: string,
    options: { callback(error: Error | null, message: Message): void },
  ): {
    unsubscribe(): void;
  };
  request(subject: string, data: Uint8Array, options: { timeout: number }): Promise<Message>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

interface Nats {
  connect(options: object): Promise<Connection>;
}

const SUBJECT = 'echo';
const TIMEOUT_MS = 30_000;
const MAX_PAYLOAD_BYTES = 17 * 1024 * 1024;

const nats = await loadPeer<Nats>('@nats-io/transport-node');

function connect(port: number, caPem: string): Promise<Connection> {
  const tls = { ca: caPem, servername: SERVER_NAME };
  return nats.connect({ servers: `127.0.0.1:${port}`, tls, reconnect: false });
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** Starts `nats-server`, which ends with this process, and resolves once it listens. */
async function startBroker(credentials: Credentials): Promise<number> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
  const file = (name: string, content: string) => {
    writeFileSync(path.join(directory, name), content, { mode: 0o600 });
    return path.join(directory, name);
  };
  const port = await freePort();
  const configuration = file(
    'nats.conf',
    `listen: 127.0.0.1:${port}
max_payload: ${MAX_PAYLOAD_BYTES}
max_pending: ${16 * MAX_PAYLOAD_BYTES}
write_deadline: "30s"
tls {
  cert_file: ${JSON.stringify(file('cert.pem', credentials.certificatePem))}
  key_file: ${JSON.stringify(file('key.pem', credentials.privateKeyPem))}
  min_version: "1.3"
}
`,
  );
  const folder = process.env['NATS_SERVER_DIR'];
  const program = folder === undefined ? 'nats-server' : path.join(folder, 'nats-server');
  const broker = spawn(program, ['-c', configuration], { stdio: ['ignore', 'ignore', 'pipe'] });
  process.once('exit', () => {
    broker.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  });
  await new Promise<void>((resolve, reject) => {
    let log = '';
    broker.stderr.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-10_000);
      if (log.includes('Server is ready')) resolve();
    });
    broker.once('error', reject);
    broker.once('exit', () => reject(new Error(`nats-server ended:\n${log}`)));
  });
  return port;
}

async function startResponder(credentials: Credentials): Promise<{ port: number }> {
  const port = await startBroker(credentials);
  const connection = await connect(port, credentials.caPem);
  connection.subscribe(SUBJECT, {
    callback: (_error, message) => void message.respond(message.data),
  });
  await connection.flush();
  return { port };
}

function isInstalled(): boolean {
  const folders = process.env['NATS_SERVER_DIR'] ?? process.env['PATH'] ?? '';
  return folders
    .split(path.delimiter)
    .some((folder) => existsSync(path.join(folder, 'nats-server')));
}

async function main(): Promise<void> {
  if (!isInstalled()) {
    reportUnavailable('nats-server is not installed');
    return;
  }
  const { server, client } = await createCredentials();
  const { ready, pid, stop } = await startServer<{ port: number }>(import.meta.filename, server);
  const connection = await connect(ready.port, client.caPem);
  const options = { timeout: TIMEOUT_MS };
  const figures = await measureCalls(
    readWorkload<MessagingWorkload>(),
    async (bytes) => (await connection.request(SUBJECT, bytes, options)).data,
    pid,
  );
  await connection.close();
  await stop();
  report(figures);
}

if (readMode() === 'server') serve<Credentials>(startResponder);
else await main();
