// What all contestants of this bench do, and the figures they report.
import net from 'node:net';
import type { Workload } from '../harness.ts';

export interface ShardingWorkload extends Workload {
  readonly shards: number;
  readonly entities: number;
  readonly inFlight: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Asks a second while shards move and while a node is killed. */
  readonly steadyPerSecond: number;
}

/** Keeps `inFlight` asks open for a time; asks a second. */
export async function askRate(
  ask: (turn: number) => Promise<unknown>,
  { inFlight, forMs }: { inFlight: number; forMs: number },
): Promise<number> {
  const untilMs = performance.now() + forMs;
  const startedMs = performance.now();
  let asks = 0;
  const loop = async () => {
    while (performance.now() < untilMs) await ask(asks++);
  };
  await Promise.all(Array.from({ length: inFlight }, loop));
  return (1000 * asks) / (performance.now() - startedMs);
}

/** One ask at a time; microseconds at the shares `at` of all. */
export async function askTimes(
  ask: (turn: number) => Promise<unknown>,
  { forMs, at }: { forMs: number; at: readonly number[] },
): Promise<number[]> {
  const untilMs = performance.now() + forMs;
  const times: number[] = [];
  for (let turn = 0; performance.now() < untilMs; turn++) {
    const startedMs = performance.now();
    await ask(turn);
    times.push(1000 * (performance.now() - startedMs));
  }
  return at.map((share) => quantile(times, share));
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
