// Programs that a suite needs and a machine may lack. Such a suite is skipped with the command that
// installs the program; skipped-reporter.ts repeats it at the end of the run.
import { accessSync, constants } from 'node:fs';
import path from 'node:path';

/** Where `name` is on the search path, if it is. */
function findProgram(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter);
  return [...folders, '/usr/sbin']
    .map((folder) => path.join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** The program, or why the suite is skipped: give it to `test` as `skip`. */
export function optionalProgram(
  name: string,
  install: string,
): { readonly file: string; readonly skip: false } | { readonly skip: string } {
  const file = findProgram(name);
  if (file === undefined) return { skip: `${name} is not installed; enable it: ${install}` };
  return { file, skip: false };
}
