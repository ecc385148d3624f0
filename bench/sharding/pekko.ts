// Contestant: starts the JVMs of PekkoCounter.java and reports what they measured.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { readWorkload, report } from '../harness.ts';
import { freePort } from './workload.ts';
import type { ShardingWorkload } from './workload.ts';

const BUILD = path.join(import.meta.dirname, 'build');

/** Why the peer is not there. */
export function missingPekko(): string | undefined {
  if (existsSync(path.join(BUILD, 'classes/PekkoCounter.class'))) return undefined;
  return 'build it: mvn -q -f bench/sharding/pom.xml package';
}

function java(...args: readonly (string | number)[]) {
  const classPath = [path.join(BUILD, 'classes'), path.join(BUILD, 'lib/*')].join(path.delimiter);
  const all = ['-cp', classPath, 'PekkoCounter', ...args.map(String)];
  return spawn('java', all, { stdio: ['pipe', 'pipe', 'inherit'] });
}

async function lastLine(child: ReturnType<typeof java>): Promise<number[]> {
  let text = '';
  for await (const chunk of child.stdout) text += chunk;
  return JSON.parse(text.trim().split('\n').at(-1) ?? '');
}

async function main(): Promise<void> {
  const { shards, entities, inFlight, warmUpMs, measureMs } = readWorkload<ShardingWorkload>();
  // The JVM compiles as it goes: what it is measured at comes after a longer warm-up.
  const numbers = [shards, entities, inFlight, 5 * warmUpMs, measureMs];
  const localPort = await freePort();
  const [localRate, localP50, localP99] = await lastLine(
    java('local', localPort, localPort, ...numbers),
  );
  const [seed, port] = [await freePort(), await freePort()];
  const host = java('host', seed, seed, shards);
  const [rate, p50, p99] = await lastLine(java('remote', port, seed, ...numbers));
  host.stdin.end();
  report({
    localAsksPerSecond: localRate!,
    localP50Us: localP50!,
    localP99Us: localP99!,
    remoteAsksPerSecond: rate!,
    remoteP50Us: p50!,
    remoteP99Us: p99!,
  });
}

if (process.argv[1] === import.meta.filename) await main();
