// Compiles a C contestant into a `build` folder beside its source.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';

/** Where the program of a source file is. */
export function programOf(source: string): string {
  return path.join(path.dirname(source), 'build', path.basename(source, '.c'));
}

/** Gives the reason if there is no program afterwards. */
export function compileC(source: string): string | undefined {
  const program = programOf(source);
  mkdirSync(path.dirname(program), { recursive: true });
  const gcc = spawnSync('gcc', ['-O2', '-Wall', '-Werror', '-o', program, source], {
    encoding: 'utf8',
  });
  if (gcc.error !== undefined) return 'gcc is not installed';
  if (gcc.status !== 0) throw new Error(`gcc failed:\n${gcc.stderr}`);
  return undefined;
}
