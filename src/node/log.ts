// Makes the node's logger: pino, as JSON lines. Secrets are never fields of a log line.
import pino from 'pino';
import { silentLogger } from '../core/index.ts';
import { layoutOf } from './config.ts';
import type { Logger } from '../core/index.ts';
import type { NodeConfig } from './config.ts';

/** The logger that `config.log` asks for, with the node's name on every line. */
export function createLogger(config: NodeConfig): Logger {
  if (config.log === 'silent') return silentLogger;
  const dest = config.log === 'stderr' ? 2 : layoutOf(config.dataDir).log;
  return pino(
    { base: { node: config.name }, level: 'info' },
    pino.destination({ dest, sync: true, mkdir: true }),
  );
}
