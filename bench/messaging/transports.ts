// The transport that a contestant runs on. QUIC needs a native binding, which may be missing here.
import { hasCode, silentLogger, systemClock } from '../../src/core/index.ts';
import { QuicTransport, TlsTransport } from '../../src/transport/index.ts';
import { reportUnavailable } from '../harness.ts';
import type { Credentials } from '../../src/identity/index.ts';
import type { Transport } from '../../src/transport/index.ts';

export type TransportKind = 'tls' | 'quic';

/** The transport, or a line that says why not, and the end of the process. */
export function createTransport(kind: TransportKind, credentials: Credentials): Transport {
  const components = { credentials, clock: systemClock, log: silentLogger };
  if (kind === 'tls') return new TlsTransport(components);
  try {
    return new QuicTransport(components);
  } catch (error) {
    if (!hasCode(error, 'quic_unavailable')) throw error;
    reportUnavailable(error.message);
    process.exit(0);
  }
}
