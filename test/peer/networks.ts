// The networks that tests of peers run on: TLS and QUIC on loopback, and the simulated one.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createPrng, silentLogger, systemClock } from '../../src/core/index.ts';
import { ClusterAuthority, createKeyAndCsr } from '../../src/identity/index.ts';
import { PeerHost } from '../../src/peer/index.ts';
import { MemoryNetwork, SimulatedClock } from '../../src/testing/index.ts';
import { QuicTransport, TlsTransport } from '../../src/transport/index.ts';
import type { Logger } from '../../src/core/index.ts';
import type { Credentials } from '../../src/identity/index.ts';
import type { PeerHostOptions } from '../../src/peer/index.ts';
import type { Transport } from '../../src/transport/index.ts';

export interface TestNode {
  readonly host: PeerHost;
  readonly address: string;
  /** What the node logged as a warning or worse. */
  readonly warnings: string[];
}

/** A network with a simulated clock for the hosts; sockets, where there are any, are real. */
export interface TestNetwork {
  readonly kind: 'tls' | 'quic' | 'memory';
  readonly clock: SimulatedClock;
  transport(name: string): Promise<Transport>;
  node(name: string, options?: PeerHostOptions): Promise<TestNode>;
  /** Lets simulated time pass, where messages need it, until `promise` settles. */
  settle<T>(promise: Promise<T>): Promise<T>;
  stop(): Promise<void>;
}

export const NETWORK_KINDS = ['tls', 'quic', 'memory'] as const;

export async function createAuthority(): Promise<{
  credentials(name: string): Promise<Credentials>;
  authority: ClusterAuthority;
  remove(): void;
}> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
  const authority = await ClusterAuthority.open(directory, { clock: systemClock });
  const issued = new Map<string, Credentials>();
  return {
    authority,
    async credentials(name) {
      const known = issued.get(name);
      if (known !== undefined) return known;
      const { privateKeyPem, csrPem } = await createKeyAndCsr(name);
      const certificatePem = await authority.issue(name, csrPem);
      const credentials = { name, certificatePem, privateKeyPem, caPem: authority.caPem };
      issued.set(name, credentials);
      return credentials;
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

export function collectingLogger(): { log: Logger; warnings: string[] } {
  const warnings: string[] = [];
  const keep = (_fields: object, message: string) => void warnings.push(message);
  return { warnings, log: { ...silentLogger, warn: keep, error: keep } };
}

export async function createNetwork(kind: TestNetwork['kind'], seed = 1): Promise<TestNetwork> {
  const clock = new SimulatedClock();
  const hosts: PeerHost[] = [];
  const memory = new MemoryNetwork({ clock, prng: createPrng(seed) }, { cut: true });
  const authority = kind === 'memory' ? undefined : await createAuthority();

  const transport = async (name: string, log = silentLogger): Promise<Transport> => {
    if (authority === undefined) return memory.transport(name);
    const credentials = await authority.credentials(name);
    const Transport = kind === 'tls' ? TlsTransport : QuicTransport;
    return new Transport({ credentials, clock: systemClock, log });
  };
  const settle = <T>(promise: Promise<T>): Promise<T> =>
    kind === 'memory' ? clock.resolve(promise) : promise;

  return {
    kind,
    clock,
    transport,
    settle,
    async node(name, options = {}) {
      const { log, warnings } = collectingLogger();
      const prng = createPrng(seed, hosts.length);
      const components = { transport: await transport(name, log), clock, log, prng };
      const host = new PeerHost(components, options);
      hosts.push(host);
      const { port } = await host.listen({ host: '127.0.0.1', port: 0 });
      return { host, address: `127.0.0.1:${port}`, warnings };
    },
    async stop() {
      await settle(Promise.all(hosts.map((host) => host.stop())));
      authority?.remove();
    },
  };
}

/** Two nodes that know each other's address, on a network of this kind; stopped afterwards. */
export async function withPair(
  kind: TestNetwork['kind'],
  use: (pair: { a: TestNode; b: TestNode; network: TestNetwork }) => Promise<void>,
  options: PeerHostOptions = {},
): Promise<void> {
  const network = await createNetwork(kind);
  try {
    const a = await network.node('node-a', options);
    const b = await network.node('node-b', options);
    a.host.learn('node-b', b.address);
    b.host.learn('node-a', a.address);
    await use({ a, b, network });
  } finally {
    await network.stop();
  }
}
