// Peer: HAProxy with one thread, kept connections on both sides, and no log.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ProxyPlace } from './workload.ts';

/** Writes the configuration and gives the command line. */
export function haproxyCommand({ folder, port, upstreamPort }: ProxyPlace): string[] {
  const file = path.join(folder, 'haproxy.cfg');
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse always
listen engines
  bind 127.0.0.1:${port}
  server engine 127.0.0.1:${upstreamPort}
`,
  );
  return ['haproxy', '-db', '-f', file];
}
