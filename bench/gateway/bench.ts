// G1 to G5: what a proxied request costs, in requests a second, processor time and added latency.
import path from 'node:path';
import { defineBench, nodeContestant } from '../harness.ts';
import { compileC } from '../messaging/compile.ts';
import { PROXY_NAMES } from './proxies.ts';
import type { GatewayWorkload } from './workload.ts';

const here = (file: string) => path.join(import.meta.dirname, file);

const workload: GatewayWorkload = {
  ...{ connections: 64, warmUpSeconds: 1, seconds: 2.5 },
  ...{ steps: [1, 16, 256], stepSeconds: 0.6, rate: 500 },
};

function contestant(name: string) {
  const prepare = () => {
    if (process.platform !== 'linux') return 'processor time is read from /proc';
    return compileC(here('ends.c'));
  };
  return { ...nodeContestant(name, here('measure.ts'), name), prepare };
}

export const bench = defineBench({
  name: 'gateway',
  summary: 'a proxied POST of 1 KiB and a stream of 50 events, 64 connections',
  needs: 'Linux, gcc, nginx, haproxy, pip packages, npm install --prefix bench/peers',
  workload,
  quickWorkload: {
    ...{ connections: 4, warmUpSeconds: 0.5, seconds: 0.5 },
    ...{ steps: [1], stepSeconds: 0.3, rate: 100 },
  },
  rounds: 2,
  timeoutMs: 180_000,
  contestants: PROXY_NAMES.map(contestant),
  ratios: {
    G1: {
      title: 'requests/s vs nginx',
      of: ['flotilla', 'jsonPerSecond'],
      over: ['nginx', 'jsonPerSecond'],
      target: { atLeast: 0.7 },
    },
    G2a: {
      title: 'requests/s vs fastify + undici',
      of: ['flotilla', 'jsonPerSecond'],
      over: ['fastify', 'jsonPerSecond'],
      target: { atLeast: 1.6 },
    },
    G2b: {
      title: 'requests/s vs @portkey-ai/gateway',
      of: ['flotilla', 'jsonPerSecond'],
      over: ['portkey', 'jsonPerSecond'],
      target: { atLeast: 8 },
    },
    G3: {
      title: 'processor time per request vs nginx',
      of: ['flotilla', 'jsonCpuMicros'],
      over: ['nginx', 'jsonCpuMicros'],
      target: { atMost: 2 },
    },
    G4: {
      title: 'event streams/s vs nginx',
      of: ['flotilla', 'ssePerSecond'],
      over: ['nginx', 'ssePerSecond'],
      target: { atLeast: 0.9 },
    },
    G5a: {
      title: 'added latency at 500 requests/s, p50 in ms',
      of: ['flotilla', 'addedP50Ms'],
      target: { atMost: 1 },
    },
    G5b: {
      title: 'added latency at 500 requests/s, p99 in ms',
      of: ['flotilla', 'addedP99Ms'],
      target: { atMost: 5 },
    },
  },
});
