// How a node comes by its certificate: the founder from the CA that it makes, every other node from
// a seed, once, against a join token. Later starts use what was saved.
import { FlotillaError } from '../core/index.ts';
import {
  ClusterAuthority,
  createKeyAndCsr,
  ensureDirectory,
  loadCredentials,
  parseToken,
  saveCredentials,
  validityOf,
} from '../identity/index.ts';
import { requestJoin } from '../transport/index.ts';
import { layoutOf } from './config.ts';
import { NODE_DEFAULTS } from './defaults.ts';
import type { Clock } from '../core/index.ts';
import type { Credentials } from '../identity/index.ts';
import type { NodeConfig } from './config.ts';

export interface Founding {
  readonly authority: ClusterAuthority;
  readonly credentials: Credentials;
}

/**
 * Opens the cluster's CA in the data directory, making it the first time, and this node's identity.
 */
export async function foundIdentity(config: NodeConfig, clock: Clock): Promise<Founding> {
  const directory = layoutOf(config.dataDir).identity;
  ensureDirectory(directory);
  const authority = await ClusterAuthority.open(directory, { clock });
  const saved = loadSaved(config);
  // The CA is here: a certificate that ended while the node was off is no obstacle.
  if (saved !== undefined && !hasExpired(saved, clock)) return { authority, credentials: saved };
  const { privateKeyPem, csrPem } = await createKeyAndCsr(config.name);
  const certificatePem = await authority.issue(config.name, csrPem, { replace: true });
  const credentials = { name: config.name, certificatePem, privateKeyPem, caPem: authority.caPem };
  saveCredentials(directory, credentials);
  return { authority, credentials };
}

/**
 * The saved identity while its certificate is valid, else a new one. Errors: `token_required`,
 * `certificate_expired`, those of the join exchange.
 */
export async function joinIdentity(config: NodeConfig, clock: Clock): Promise<Credentials> {
  const saved = loadSaved(config);
  if (saved === undefined) return admitAnew(config, clock);
  if (!hasExpired(saved, clock)) return saved;
  if (config.token !== undefined) return admitAnew(config, clock);
  const ended = new Date(validityOf(saved.certificatePem).notAfterMs).toISOString();
  const message = `the certificate of ${saved.name} ended at ${ended}; join again with a new token`;
  throw new FlotillaError('certificate_expired', message, { details: { name: saved.name, ended } });
}

/** A new key, and a certificate from the first seed that answers, for the join token. */
export async function admitAnew(config: NodeConfig, clock: Clock): Promise<Credentials> {
  const directory = layoutOf(config.dataDir).identity;
  ensureDirectory(directory);
  if (config.token === undefined || config.seeds.length === 0) {
    throw new FlotillaError(
      'token_required',
      `${config.name} has no certificate yet: it needs a seed and a token from "flotilla token"`,
    );
  }
  const token = parseToken(config.token);
  const { privateKeyPem, csrPem } = await createKeyAndCsr(config.name);
  const { certificatePem, caPem } = await firstAnswer(config.seeds, (address) =>
    requestJoin({
      address,
      token,
      name: config.name,
      csrPem,
      clock,
      timeoutMs: NODE_DEFAULTS.joinTimeoutMs,
    }),
  );
  const credentials = { name: config.name, certificatePem, privateKeyPem, caPem };
  saveCredentials(directory, credentials);
  return credentials;
}

function hasExpired({ certificatePem }: Credentials, clock: Clock): boolean {
  return validityOf(certificatePem).notAfterMs <= clock.wallTime();
}

function loadSaved(config: NodeConfig): Credentials | undefined {
  const saved = loadCredentials(layoutOf(config.dataDir).identity);
  if (saved === undefined || saved.name === config.name) return saved;
  throw new FlotillaError(
    'config_invalid',
    `the data directory ${config.dataDir} belongs to ${saved.name}, not to ${config.name}`,
    { details: { option: 'name', rule: saved.name } },
  );
}

/** Asks one seed after another; raises what the last one said when none agrees. */
async function firstAnswer<T>(seeds: readonly string[], ask: (seed: string) => Promise<T>) {
  let failure: unknown;
  for (const seed of seeds) {
    try {
      return await ask(seed);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}
