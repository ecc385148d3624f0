// Three nodes in one process with everything real below tables: certificates of one CA, mutually
// authenticated TLS on 127.0.0.1, RPC, and the founder's SQLite store, remote for the others.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { silentLogger, systemClock } from '../../src/core/index.ts';
import { Kernels } from '../../src/devices/index.ts';
import { ClusterAuthority, createKeyAndCsr } from '../../src/identity/index.ts';
import { PeerHost } from '../../src/peer/index.ts';
import { EmbeddedStore, RemoteStore, serveStore } from '../../src/store/index.ts';
import { TableService } from '../../src/tables/index.ts';
import { TlsTransport } from '../../src/transport/index.ts';

export interface TlsNode {
  readonly host: PeerHost;
  readonly kernels: Kernels;
  readonly service: TableService;
  stop(): Promise<void>;
}

export interface TlsFleet extends AsyncDisposable {
  readonly nodes: readonly TlsNode[];
}

export async function startTlsFleet(size: number): Promise<TlsFleet> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
  const clock = systemClock;
  const authority = await ClusterAuthority.open(path.join(directory, 'ca'), { clock });
  const embedded = await EmbeddedStore.open(path.join(directory, 'store.sqlite'), { clock });
  const names = Array.from({ length: size }, (_, i) => `node-${i}`);
  const registry = { healthyNodes: () => names.map((id) => ({ id })) };
  const addresses = new Map<string, string>();
  const nodes: TlsNode[] = [];
  for (const name of names) {
    const { privateKeyPem, csrPem } = await createKeyAndCsr(name);
    const certificatePem = await authority.issue(name, csrPem);
    const credentials = { name, certificatePem, privateKeyPem, caPem: authority.caPem };
    const components = { clock, log: silentLogger };
    const transport = new TlsTransport({ ...components, credentials });
    const host = new PeerHost({ ...components, transport });
    const address = await host.listen({ host: '127.0.0.1', port: 0 });
    addresses.set(name, `${address.host}:${address.port}`);
    if (nodes.length === 0) serveStore(host, embedded);
    const store = nodes.length === 0 ? embedded : new RemoteStore(host, 'node-0');
    const kernels = await Kernels.create({ maxBytes: 2 ** 29 });
    const service = new TableService(
      { ...components, host, coordinator: { registry }, store, kernels },
      { directory: path.join(directory, name) },
    );
    const stop = async () => {
      await host.stop();
      await service.stop();
    };
    nodes.push({ host, kernels, service, stop });
  }
  for (const { host } of nodes) {
    for (const [name, address] of addresses) if (name !== host.name) host.learn(name, address);
  }
  for (const { service } of nodes) await service.start();
  const dispose = async () => {
    for (const node of nodes.toReversed()) await node.stop();
    await embedded.close();
    rmSync(directory, { recursive: true, force: true });
  };
  return { nodes, [Symbol.asyncDispose]: dispose };
}
