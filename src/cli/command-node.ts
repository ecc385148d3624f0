// `flotilla node` and `flotilla join`: one node in the foreground, for a person or for the
// supervisor that forked it, until it is stopped, leaves the fleet or is shut out.
import os from 'node:os';
import path from 'node:path';
import v8 from 'node:v8';
import { FlotillaError, hasCode, messageOf } from '../core/index.ts';
import { certificateRevoked } from '../identity/index.ts';
import { Fleet } from '../node/index.ts';
import { hasAuthority } from './command-token.ts';
import { loadConfigFile } from './config-file.ts';
import { CLI_DEFAULTS, SUPERVISOR } from './defaults.ts';
import type { NodeConfigInput } from '../node/index.ts';
import type { CliContext } from './context.ts';
import type { NodeMessage } from './node-messages.ts';
import type { StoreFlag } from './options.ts';

type Endpoint = { readonly host: string; readonly port: number };

export interface NodeFlags {
  readonly name?: string;
  readonly found?: boolean;
  readonly join?: readonly string[];
  readonly token?: string;
  readonly dataDir?: string;
  readonly listen?: Endpoint;
  readonly http?: Endpoint | false;
  readonly store?: StoreFlag;
  readonly config?: string;
  /** False with --no-engines. */
  readonly engines?: boolean;
}

/** Runs a node until SIGINT, SIGTERM, or the end of the supervisor that forked it. */
export async function runNode(context: CliContext, flags: NodeFlags): Promise<void> {
  // Rows travel in large buffers beside the heap. Without this, V8 collects the whole heap for
  // every 64 MiB of them: a third of a node's processor time while it trains.
  v8.setFlagsFromString('--external-memory-accounted-in-global-limit');
  const supervised = process.send !== undefined;
  const ended = Promise.withResolvers<void>();
  process.once('disconnect', ended.resolve);
  // These reach the whole process group; a supervised node waits for its supervisor's word.
  for (const signal of ['SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => supervised || ended.resolve());
  }
  process.once('SIGTERM', () => ended.resolve());
  let fleet: Fleet;
  try {
    fleet = await startNode(context, flags);
  } catch (error) {
    const code = hasCode(error) ? error.code : 'internal';
    await tell({ type: 'failed', error: { code, message: messageOf(error) } });
    throw error;
  }
  const { name, address, httpUrl } = fleet;
  await tell({ type: 'ready', name, address, ...(httpUrl !== undefined && { httpUrl }) });
  const http = httpUrl === undefined ? '' : `, HTTP at ${httpUrl}`;
  if (!supervised)
    context.out.line(`${name} listens for peers at ${address}${http}; Ctrl-C stops it`);
  const end = await Promise.race([ended.promise, fleet.ended]);
  if (end === 'left' && !supervised) context.out.line(`${name} has left the fleet`);
  const late = Promise.withResolvers<void>();
  context.clock.schedule(SUPERVISOR.stopTimeoutMs, late.resolve);
  await Promise.race([fleet.stop(), late.promise]);
  if (end === 'revoked') throw certificateRevoked(name);
}

/** Over IPC when there is a supervisor; one that is gone cannot be told. */
function tell(message: NodeMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, undefined, undefined, () => resolve());
  });
}

async function startNode(context: CliContext, flags: NodeFlags): Promise<Fleet> {
  const { config } = await loadConfigFile(flags.config);
  const name = flags.name ?? config.name ?? defaultName();
  const dataDir = flags.dataDir ?? config.dataDir ?? path.join(CLI_DEFAULTS.dataDir, name);
  const token = await readToken(flags.token ?? context.env['FLOTILLA_TOKEN'] ?? config.token);
  const seeds = flags.join ?? config.seeds ?? [];
  const input: NodeConfigInput = {
    ...config,
    name,
    dataDir,
    seeds: [...seeds],
    ...(token !== undefined && { token }),
    ...(flags.listen !== undefined && { listen: flags.listen }),
    ...(flags.http !== undefined && { http: httpOf(flags.http, config.http) }),
    ...(flags.engines === false && { engines: [] }),
    ...(flags.store !== undefined && { store: storeOf(flags.store, config.store) }),
  };
  if (flags.found || (seeds.length === 0 && hasAuthority(dataDir))) return Fleet.found(input);
  if (seeds.length > 0) return Fleet.join(input);
  const message = 'a node needs --found, to found a fleet, or --join HOST:PORT, to join one';
  throw new FlotillaError('usage_invalid', message);
}

/** The flag says where; all else about HTTP the file still says. */
function httpOf(flag: Endpoint | false, http: NodeConfigInput['http']): NodeConfigInput['http'] {
  return flag === false || http === undefined || http === false ? flag : { ...http, ...flag };
}

/** The flag says where; how to log on there, the file still says. */
function storeOf(flag: StoreFlag, config: NodeConfigInput['store']): NodeConfigInput['store'] {
  if (flag === 'embedded' || config === undefined || config === 'embedded') return flag;
  return { etcd: { ...config.etcd, ...flag.etcd } };
}

/** This machine's name, in characters that node names may have. */
function defaultName(): string {
  const name = os
    .hostname()
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-');
  return (
    name
      .replace(/^[^a-z0-9]+/, '')
      .slice(0, 63)
      .replace(/[^a-z0-9]+$/, '') || 'node'
  );
}

/** `-` takes the token from the first line of standard input, where no process list shows it. */
async function readToken(token: string | undefined): Promise<string | undefined> {
  if (token !== '-') return token;
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += chunk;
    if (text.includes('\n') || text.length > 4_096) break;
  }
  return text.split('\n')[0]?.trim();
}
