// Peer: nginx with one worker, kept connections on both sides, and no log; without privileges, in a
// folder of its own.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ProxyPlace } from './workload.ts';

/** Writes the configuration and gives the command line. */
export function nginxCommand({ folder, port, upstreamPort }: ProxyPlace): string[] {
  const file = path.join(folder, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  upstream engines {
    server 127.0.0.1:${upstreamPort};
    keepalive 256;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://engines;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`,
  );
  return ['nginx', '-c', file, '-e', 'stderr', '-p', folder];
}
