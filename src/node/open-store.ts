// Which store a node opens by itself: etcd, when the configuration says so, else the embedded one
// on the founder, which serves it to the others.
import { X509Certificate } from 'node:crypto';
import { systemClock } from '../core/index.ts';
import { EmbeddedStore, EtcdStore, serveStore } from '../store/index.ts';
import { layoutOf, readConfigured } from './config.ts';
import { NODE_DEFAULTS } from './defaults.ts';
import type { PeerHost } from '../peer/index.ts';
import type { EtcdOptions, Store } from '../store/index.ts';
import type { EtcdConfig, NodeConfig } from './config.ts';

interface StoreParts {
  readonly host: PeerHost;
  readonly caPem: string;
  readonly founding: boolean;
}

/**
 * Undefined for a node that asks the founder's store. Errors: `store_unavailable`,
 * `store_corrupt`, `config_invalid` when a file that it names cannot be read.
 */
export async function openStore(
  config: NodeConfig,
  { host, caPem, founding }: StoreParts,
): Promise<Store | undefined> {
  if (config.store !== 'embedded') {
    return EtcdStore.open(systemClock, etcdOptions(config.store.etcd, caPem));
  }
  if (!founding) return undefined;
  const store = await EmbeddedStore.open(layoutOf(config.dataDir).store, { clock: systemClock });
  serveStore(host, store);
  return store;
}

/** Without a prefix of its own a fleet takes one from its CA: fleets never meet in an etcd. */
function etcdOptions(etcd: EtcdConfig, caPem: string): EtcdOptions {
  const { hosts, user, tls, callTimeoutMs } = etcd;
  const fingerprint = new X509Certificate(caPem).fingerprint256.replaceAll(':', '').toLowerCase();
  const prefix =
    etcd.prefix ?? `/flotilla/${fingerprint.slice(0, NODE_DEFAULTS.etcdPrefixDigits)}/`;
  return {
    hosts,
    prefix,
    ...(user !== undefined && { user }),
    ...(callTimeoutMs !== undefined && { callTimeoutMs }),
    ...(tls !== undefined && {
      tls: {
        ca: readConfigured('store.etcd.tls.caFile', tls.caFile),
        ...(tls.certificateFile !== undefined && {
          certificate: readConfigured('store.etcd.tls.certificateFile', tls.certificateFile),
        }),
        ...(tls.keyFile !== undefined && {
          key: readConfigured('store.etcd.tls.keyFile', tls.keyFile),
        }),
      },
    }),
  };
}
