// Loaded before a node (`--import`): its control group then says that the processor is in use by
// the share that is named. All nodes of a test share one machine, which says the same to each.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const VARIABLE = 'FLOTILLA_TEST_CPU';

/** The environment of a node whose processor is in use by `share`. */
export function withProcessorShare(share: number): Record<string, string> {
  return { NODE_OPTIONS: `--import=${import.meta.url}`, [VARIABLE]: String(share) };
}

function replaceFiles(share: number): void {
  const files: Readonly<Record<string, () => string>> = {
    '/proc/self/cgroup': () => '0::/\n',
    '/sys/fs/cgroup/cpu.max': () => '100000 100000\n',
    '/sys/fs/cgroup/cpu.stat': () => `usage_usec ${Math.round(share * performance.now() * 1e3)}\n`,
  };
  const read = fs.readFileSync;
  fs.readFileSync = ((file: fs.PathOrFileDescriptor, options?: BufferEncoding) =>
    files[String(file)]?.() ?? read(file, options as BufferEncoding)) as typeof fs.readFileSync;
  syncBuiltinESMExports();
}

const named = process.env[VARIABLE];
if (named !== undefined) replaceFiles(Number(named));
