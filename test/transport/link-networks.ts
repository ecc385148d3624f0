// The networks that links are tested on: TLS and QUIC on loopback, TLS with bulk sockets and
// without, and the simulated one: sound, or faulty with one order or with one for each stream.
// Nothing of the layers above is needed.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createPrng, silentLogger, systemClock } from '../../src/core/index.ts';
import { ClusterAuthority, createKeyAndCsr } from '../../src/identity/index.ts';
import { MemoryNetwork, SimulatedClock } from '../../src/testing/index.ts';
import { QuicTransport, TlsTransport } from '../../src/transport/index.ts';
import type { Credentials } from '../../src/identity/index.ts';
import type { Transport } from '../../src/transport/index.ts';

export const LINK_KINDS = [
  'tls',
  'tls-one-socket',
  'memory',
  'memory-faulty',
  'memory-streams',
  'quic',
] as const;

export type LinkKind = (typeof LINK_KINDS)[number];

export interface LinkNetwork {
  transport(name: string): Promise<Transport>;
  /** Lets simulated time pass, where there is any, until `promise` settles. */
  settle<T>(promise: Promise<T>): Promise<T>;
  stop(): Promise<void>;
}

/** A CA in a folder of its own, which `remove` deletes. */
export async function createCa() {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
  const authority = await ClusterAuthority.open(directory, { clock: systemClock });
  const issued = new Map<string, Credentials>();
  return {
    authority,
    async credentials(name: string): Promise<Credentials> {
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

export async function createLinkNetwork(kind: LinkKind): Promise<LinkNetwork> {
  if (kind === 'memory' || kind === 'memory-faulty' || kind === 'memory-streams') {
    const clock = new SimulatedClock();
    // What is lost is sent again soon, so that streams keep taking turns.
    const faults = { loss: 0.01, duplication: 0.05, reordering: 0.02, retransmitMs: 2 };
    const memory = new MemoryNetwork(
      { clock, prng: createPrng(1) },
      {
        cut: true,
        independentStreams: kind === 'memory-streams',
        ...(kind !== 'memory' && faults),
      },
    );
    return {
      transport: async (name) => memory.transport(name),
      settle: (promise) => clock.resolve(promise),
      stop: async () => {},
    };
  }
  const ca = await createCa();
  return {
    async transport(name) {
      const credentials = await ca.credentials(name);
      const components = { credentials, clock: systemClock, log: silentLogger };
      if (kind === 'quic') return new QuicTransport(components);
      return new TlsTransport(components, { bulk: kind === 'tls' });
    },
    settle: (promise) => promise,
    stop: async () => ca.remove(),
  };
}
