// The joining end. It knows the cluster only by the digest of its CA: it fetches the chain,
// compares the digest, then connects anew trusting that CA alone, and only then sends the secret.
import tls from 'node:tls';
import { FlotillaError, hasCode } from '../core/index.ts';
import { caDigestOf } from '../identity/index.ts';
import { parseAddress } from './address.ts';
import { JOIN_PROTOCOL, JOIN_TIMEOUT_MS } from './defaults.ts';
import { dialReason, unreachable } from './dial-errors.ts';
import { encodeJoinMessage, JoinMessageReader, readJoinReply } from './join-messages.ts';
import { reasonOf, refused } from './tls-identity.ts';
import type { X509Certificate } from 'node:crypto';
import type { Clock } from '../core/index.ts';
import type { Token } from '../identity/index.ts';
import type { JoinReply } from './join-messages.ts';

export interface JoinOptions {
  /** A node that holds the CA, `host:port`. */
  readonly address: string;
  readonly token: Token;
  readonly name: string;
  readonly csrPem: string;
  readonly clock: Clock;
  /** For the whole exchange. @default 10 000 */
  readonly timeoutMs?: number;
}

/**
 * Asks to be admitted. Errors: `identity_refused` (the CA is not the token's; no secret was sent),
 * `peer_unreachable`, `deadline_exceeded`, `join_refused`, and those of the other end's decision.
 */
export async function requestJoin(options: JoinOptions): Promise<JoinReply> {
  const { address, token, clock } = options;
  const abort = new AbortController();
  const timeoutMs = options.timeoutMs ?? JOIN_TIMEOUT_MS;
  const timer = clock.schedule(timeoutMs, () => {
    const message = `${address} did not answer the join within ${timeoutMs} ms`;
    abort.abort(new FlotillaError('deadline_exceeded', message, { details: { address } }));
  });
  try {
    const caPem = await fetchCa(address, token, abort.signal);
    const reply = await exchange(options, caPem, abort.signal);
    if (caDigestOf(reply.caPem) !== token.caDigest) {
      throw refused(address, 'it handed out another CA than the token names');
    }
    return reply;
  } finally {
    timer.cancel();
  }
}

/** First connection: nothing is trusted and nothing is sent; the chain shows the CA. */
function fetchCa(address: string, token: Token, signal: AbortSignal): Promise<string> {
  return withSocket(address, { rejectUnauthorized: false, signal }, (socket, resolve, reject) => {
    let certificate: X509Certificate | undefined = socket.getPeerX509Certificate();
    while (certificate !== undefined) {
      if (caDigestOf(certificate) === token.caDigest) {
        resolve(certificate.toString());
        return;
      }
      const { issuerCertificate } = certificate;
      certificate = issuerCertificate === certificate ? undefined : issuerCertificate;
    }
    reject(refused(address, 'its CA is not the one that the join token names'));
  });
}

/** Second connection: TLS checks the chain against the CA that the token named. */
function exchange(options: JoinOptions, ca: string, signal: AbortSignal): Promise<JoinReply> {
  const { address, token, name, csrPem } = options;
  const checkServerIdentity = () => undefined;
  const trust = { ca, checkServerIdentity, signal };
  return withSocket(address, trust, (socket, resolve, reject) => {
    const reader = new JoinMessageReader();
    socket.on('data', (chunk: Buffer) => {
      try {
        const message = reader.push(chunk);
        if (message !== undefined) resolve(readJoinReply(message));
      } catch (error) {
        reject(error);
      }
    });
    const { id, secret } = token;
    socket.write(encodeJoinMessage({ id, secret, name, csrPem }));
  });
}

/** Dials, runs `use` on the secured socket, and ends the socket whatever comes. */
async function withSocket<T>(
  address: string,
  { signal, ...trust }: tls.ConnectionOptions & { signal: AbortSignal },
  use: (
    socket: tls.TLSSocket,
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
  ) => void,
): Promise<T> {
  const { host, port } = parseAddress(address);
  signal.throwIfAborted();
  const socket = tls.connect({
    host,
    port,
    minVersion: 'TLSv1.3',
    ALPNProtocols: [JOIN_PROTOCOL],
    ...trust,
  });
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  socket.once('secureConnect', () => use(socket, resolve, reject));
  socket.on('error', (error) => reject(dialError(error, address, socket)));
  socket.once('close', () => {
    reject(new FlotillaError('join_refused', `${address} broke off the join`));
  });
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', onAbort);
    socket.destroy();
  }
}

function dialError(error: unknown, address: string, socket: tls.TLSSocket): FlotillaError {
  if (hasCode(error)) return error;
  if (socket.authorizationError) return refused(address, reasonOf(socket.authorizationError));
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL') {
    const message = `the node at ${address} does not hold the CA and cannot admit others`;
    return new FlotillaError('join_refused', message, { details: { address } });
  }
  return unreachable(address, dialReason(error), error);
}
