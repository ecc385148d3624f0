// Why a server cannot listen, in words that help: the codes and messages of that one failure.
import { FlotillaError, hasCode, messageOf } from '../core/index.ts';

/** `port_in_use` or `listen_failed`, for what listening there raised. */
export function listenError(error: unknown, at: { host: string; port: number }): unknown {
  if (hasCode(error)) return error;
  const address = at.host.includes(':') ? `[${at.host}]:${at.port}` : `${at.host}:${at.port}`;
  const { code } = error as { code?: string };
  if (code === 'EADDRINUSE') {
    const message = `another program listens on ${address}; stop it or choose another HTTP port`;
    return new FlotillaError('port_in_use', message, { details: { address }, cause: error });
  }
  const message = `cannot listen for HTTP on ${address}: ${messageOf(error)}`;
  return new FlotillaError('listen_failed', message, { details: { address }, cause: error });
}
