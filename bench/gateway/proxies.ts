// The proxies that are compared: how each is started, between a port of its own and the backend's.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { PEERS_FOLDER } from '../peers/load.ts';
import { haproxyCommand } from './haproxy.ts';
import { litellmCommand } from './litellm.ts';
import { nginxCommand } from './nginx.ts';
import type { ProxyPlace } from './workload.ts';

const here = (file: string) => path.join(import.meta.dirname, file);

const node = (file: string, { port, upstreamPort }: ProxyPlace, ...more: readonly string[]) => [
  ...[process.execPath, here(file), String(port), String(upstreamPort), ...more],
];

/** Its gauges want a port of their own. */
function sglangCommand({ port, upstreamPort }: ProxyPlace): string[] {
  const worker = ['--worker-urls', `http://127.0.0.1:${upstreamPort}`];
  const gauges = ['--prometheus-port', String(port + 1)];
  const at = ['--host', '127.0.0.1', '--port', String(port)];
  return ['sglang-router', 'launch', ...worker, ...at, ...gauges, '--log-level', 'warn'];
}

interface Proxy {
  command(place: ProxyPlace): string[];
  /** Of a program that is not of this repository: a command that it answers. */
  readonly probe?: readonly string[];
  /** The package that it is made of, in `bench/peers`. */
  readonly peer?: string;
}

const PROXIES: Readonly<Record<string, Proxy>> = {
  flotilla: { command: (place) => node('flotilla.ts', place, 'direct') },
  'flotilla-node': { command: (place) => node('flotilla.ts', place, 'node') },
  'flotilla-http': { command: (place) => node('proxy.ts', place) },
  nginx: {
    command: nginxCommand,
    probe: ['nginx', '-v'],
  },
  haproxy: {
    command: haproxyCommand,
    probe: ['haproxy', '-v'],
  },
  fastify: { command: (place) => node('fastify-undici.ts', place), peer: 'undici' },
  portkey: {
    peer: '@portkey-ai/gateway',
    command: ({ port }) => {
      const file = path.join(PEERS_FOLDER, '@portkey-ai/gateway/build/start-server.js');
      return [process.execPath, file, '--headless', `--port=${port}`];
    },
  },
  'sglang-router': { command: sglangCommand, probe: ['sglang-router', '--help'] },
  litellm: { command: litellmCommand, probe: ['litellm', '--help'] },
};

export const PROXY_NAMES = Object.keys(PROXIES);

export function proxyCommand(name: string, place: ProxyPlace): string[] {
  return PROXIES[name]!.command(place);
}

/** Why a proxy cannot take part; undefined when it can. */
export function absenceOf(name: string): string | undefined {
  const { probe, peer } = PROXIES[name]!;
  if (peer !== undefined && !existsSync(path.join(PEERS_FOLDER, peer))) {
    return 'run npm install --prefix bench/peers';
  }
  if (probe === undefined) return undefined;
  const [program, ...parameters] = probe;
  if (spawnSync(program!, parameters).error === undefined) return undefined;
  return `${program} is not installed`;
}
