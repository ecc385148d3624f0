// Loads `flotilla.config.ts`: the one that --config names, else the one in the working directory,
// else none. Flags override what it says.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { FlotillaError, messageOf } from '../core/index.ts';
import { parseConfigFile } from '../node/index.ts';
import { CLI_DEFAULTS } from './defaults.ts';
import type { FlotillaConfig } from '../node/index.ts';

export interface LoadedConfig {
  readonly config: FlotillaConfig;
  /** Absolute; undefined when there is no file. */
  readonly file?: string;
}

/** Errors: `config_invalid`, also when the file is missing, throws or has no default export. */
export async function loadConfigFile(named: string | undefined): Promise<LoadedConfig> {
  const file = path.resolve(named ?? CLI_DEFAULTS.configFile);
  if (!existsSync(file)) {
    if (named === undefined) return { config: {} };
    throw new FlotillaError('config_invalid', `the configuration file ${named} does not exist`);
  }
  let module: { default?: unknown };
  try {
    module = await import(pathToFileURL(file).href);
  } catch (cause) {
    const message = `${file} cannot be loaded: ${messageOf(cause)}`;
    throw new FlotillaError('config_invalid', message, { cause });
  }
  if (module.default === undefined) {
    const message = `${file} must export its configuration: export default defineConfig({ … })`;
    throw new FlotillaError('config_invalid', message);
  }
  return { config: parseConfigFile(module.default, file), file };
}
