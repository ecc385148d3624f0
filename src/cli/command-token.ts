// `flotilla token` and `flotilla revoke`: who may join, and who may no longer. They work on the
// files of the founding node, so whoever may read its keys decides; the running node sees it at
// once.
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { FlotillaError } from '../core/index.ts';
import { ClusterAuthority } from '../identity/index.ts';
import { layoutOf } from '../node/index.ts';
import { loadConfigFile } from './config-file.ts';
import { CLI_DEFAULTS } from './defaults.ts';
import { formatAgo, formatSeconds, formatTable, formatUntil, plural } from './text.ts';
import type { CliContext } from './context.ts';

export interface AuthorityFlags {
  readonly dataDir?: string;
  readonly config?: string;
}

export interface TokenFlags extends AuthorityFlags {
  readonly ttl?: number;
  readonly uses: number;
  readonly replace?: boolean;
}

export interface TokenListFlags extends AuthorityFlags {
  readonly json?: boolean;
}

/** Prints a join token, and nothing else, on standard output. */
export async function runTokenCreate(context: CliContext, flags: TokenFlags): Promise<void> {
  const authority = await openAuthority(context, flags);
  const { ttl = CLI_DEFAULTS.tokenTtlMs, uses, replace = false } = flags;
  context.out.line(authority.createToken({ ttlMs: ttl, uses, replace }));
  const life = `valid for ${formatSeconds(ttl / 1000)}, ${plural(uses, 'use')}`;
  context.err.line(`${life}; on the new machine: flotilla join HOST:7400 --token TOKEN`);
}

/** Shows what is known of the tokens that exist; the secrets are known to nobody here. */
export async function runTokenList(context: CliContext, flags: TokenListFlags): Promise<void> {
  const { out, err, clock } = context;
  const tokens = (await openAuthority(context, flags)).listTokens();
  if (flags.json) {
    out.line(JSON.stringify(tokens));
    return;
  }
  if (tokens.length === 0) {
    err.line('there are no tokens; "flotilla token" makes one');
    return;
  }
  const now = clock.wallTime();
  const rows = tokens.map((token) => [
    token.id,
    formatAgo(now - token.createdAtMs),
    formatUntil(token.expiresAtMs - now),
    `${token.uses - token.used} of ${token.uses}`,
    token.replace ? 'yes' : '',
  ]);
  const [first = '', ...lines] = formatTable([
    ['id', 'created', 'expires', 'uses left', 'replaces'],
    ...rows,
  ]);
  out.line(out.style('bold', first));
  for (const line of lines) out.line(line);
}

export async function runTokenRevoke(
  context: CliContext,
  id: string,
  flags: AuthorityFlags,
): Promise<void> {
  const authority = await openAuthority(context, flags);
  if (!authority.revokeToken(id)) {
    throw new FlotillaError('usage_invalid', `there is no token ${id}; see "flotilla token list"`);
  }
  context.out.line(`token ${id} lets nobody in any more`);
}

/** Ends the certificate of a node. */
export async function runRevoke(
  context: CliContext,
  name: string,
  flags: AuthorityFlags,
): Promise<void> {
  const revoked = (await openAuthority(context, flags)).revoke(name);
  context.out.line(
    revoked
      ? `the certificate of ${name} is revoked; a new token can let the name in again`
      : `the certificate of ${name} had ended before`,
  );
}

export function hasAuthority(dataDir: string): boolean {
  return existsSync(path.join(layoutOf(dataDir).identity, AUTHORITY_FILE));
}

const AUTHORITY_FILE = 'authority.pem';

/** Of the founding node, also when the folder is that of `up`. Errors: `authority_missing`. */
async function openAuthority(
  { clock }: CliContext,
  flags: AuthorityFlags,
): Promise<ClusterAuthority> {
  const { config } = await loadConfigFile(flags.config);
  const dataDir = flags.dataDir ?? config.dataDir ?? CLI_DEFAULTS.dataDir;
  const founder = [dataDir, ...foldersIn(dataDir)].find(hasAuthority) ?? dataDir;
  return ClusterAuthority.open(layoutOf(founder).identity, { clock, create: false });
}

function foldersIn(dataDir: string): string[] {
  if (!existsSync(dataDir)) return [];
  const entries = readdirSync(dataDir, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => path.join(dataDir, name));
}
