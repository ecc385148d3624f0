// Loads a peer library from `bench/peers`, whose packages are installed apart from the project's:
// imports resolve from where this file is.
import path from 'node:path';
import { reportUnavailable } from '../harness.ts';

/** For a module that a package does not export. */
export const PEERS_FOLDER = path.join(import.meta.dirname, 'node_modules');

/** The package, or a line that says why not, and the end of the process. */
export async function loadPeer<T>(name: string): Promise<T> {
  try {
    return (await import(name)) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    reportUnavailable('run npm install --prefix bench/peers');
    process.exit(0);
  }
}
