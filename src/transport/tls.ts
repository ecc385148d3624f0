// Links over mutually authenticated TLS 1.3. Owns sockets and certificates' checks; what a link
// carries is `MuxLink`'s, who may join is decided by `onJoin`.
import type net from 'node:net';
import tls from 'node:tls';
import { FlotillaError, hasCode, messageOf } from '../core/index.ts';
import { LiveCredentials } from '../identity/index.ts';
import { formatAddress, parseAddress } from './address.ts';
import { BULK_PROTOCOL, JOIN_PROTOCOL, PEER_PROTOCOL, TRANSPORT_DEFAULTS } from './defaults.ts';
import { dialReason, unreachable } from './dial-errors.ts';
import { serveJoin } from './join-server.ts';
import { MuxLink } from './mux-link.ts';
import { TlsBulk } from './tls-bulk.ts';
import { identityOf, refused } from './tls-identity.ts';
import { ReadBuffer, TlsPipe } from './tls-pipe.ts';
import type { Clock, Logger } from '../core/index.ts';
import type { Credentials } from '../identity/index.ts';
import type { OnJoin } from './join-messages.ts';
import type { BulkSupport } from './link-bulk.ts';
import type { Address, ConnectOptions, Link, LinkIdentity, Transport } from './link.ts';

export interface TlsTransportComponents {
  /** Live ones are read anew for each connection; connections that stand are left alone. */
  readonly credentials: Credentials | LiveCredentials;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface TlsTransportOptions {
  /** Admits joiners; only on nodes that hold the CA. Without it nobody unauthenticated gets in. */
  readonly onJoin?: OnJoin;
  /** Throws for whom this node refuses although the certificate is good, for example revoked. */
  readonly admit?: (remote: LinkIdentity) => void;
  /** @default 10 000 */
  readonly connectTimeoutMs?: number;
  /** Long writes get a socket of their own, when their reader can dial this node. @default true */
  readonly bulk?: boolean;
}

export class TlsTransport implements Transport {
  readonly name: string;
  readonly #components: TlsTransportComponents;
  readonly #options: TlsTransportOptions;
  readonly #connectTimeoutMs: number;
  readonly #servers = new Set<tls.Server>();
  /** Accepted connections, whatever became of them. */
  readonly #accepted = new Set<net.Socket>();
  readonly #bulk: TlsBulk;
  #port: number | undefined;

  constructor(components: TlsTransportComponents, options: TlsTransportOptions = {}) {
    this.name = components.credentials.name;
    this.#components = components;
    this.#options = options;
    this.#connectTimeoutMs = options.connectTimeoutMs ?? TRANSPORT_DEFAULTS.connectTimeoutMs;
    const { credentials } = components;
    this.#bulk = new TlsBulk({
      clock: components.clock,
      get credentials() {
        const { certificatePem: cert, privateKeyPem: key, caPem: ca } = credentials;
        return { key, cert, ca };
      },
      listeningPort: () => this.#port,
      timeoutMs: this.#connectTimeoutMs,
    });
    if (credentials instanceof LiveCredentials) {
      credentials.onReplaced(() => {
        for (const server of this.#servers) server.setSecureContext(this.#serverContext());
      });
    }
  }

  /** Bulk sockets for links of another transport that listens beside this one. */
  get bulk(): BulkSupport {
    return this.#bulk;
  }

  listen(address: Address, onLink: (link: Link) => void): Promise<Address> {
    const { log } = this.#components;
    const server = tls.createServer(
      {
        ...this.#serverContext(),
        ALPNProtocols: this.#protocols(),
        requestCert: true,
        // Joiners have no certificate yet: `#accept` lets them reach the join exchange only.
        rejectUnauthorized: false,
        handshakeTimeout: this.#connectTimeoutMs,
      },
      (socket) => this.#accept(socket, onLink),
    );
    server.on('connection', (socket: net.Socket) => {
      this.#accepted.add(socket);
      socket.once('close', () => this.#accepted.delete(socket));
    });
    server.on('tlsClientError', (error, socket) => {
      const address = remoteOf(socket);
      log.warn({ address }, `a connection was no TLS peer: ${error.message}`);
    });
    return new Promise((resolve, reject) => {
      server.on('error', (error) => reject(listenError(error, address)));
      server.listen({ host: address.host, port: address.port }, () => {
        this.#servers.add(server);
        const { port } = server.address() as net.AddressInfo;
        this.#port ??= port;
        resolve({ host: address.host, port });
      });
    });
  }

  async connect(address: string, options: ConnectOptions = {}): Promise<Link> {
    const readBuffer = new ReadBuffer();
    const socket = tls.connect(this.#dialOptions(address, options.name, readBuffer));
    return new Promise((resolve, reject) => {
      const timeoutMs = options.timeoutMs ?? this.#connectTimeoutMs;
      const timer = this.#components.clock.schedule(timeoutMs, () => {
        reject(unreachable(address, `no answer within ${timeoutMs} ms`));
        socket.destroy();
      });
      socket.on('error', (error) => reject(unreachable(address, dialReason(error), error)));
      socket.once('close', () => {
        timer.cancel();
        reject(unreachable(address, 'it broke off the handshake'));
      });
      socket.once('secureConnect', () => {
        timer.cancel();
        try {
          const remote = this.#identify(socket, address);
          if (socket.alpnProtocol !== PEER_PROTOCOL) {
            throw refused(address, 'it does not speak this protocol');
          }
          resolve(this.#link(socket, { remote, dialled: true, address, readBuffer }));
        } catch (error) {
          reject(error);
          this.#refuse(socket, { address, error, readBuffer });
        }
      });
    });
  }

  stop(): Promise<void> {
    const closing = [...this.#servers].map(
      (server) => new Promise<void>((resolve) => server.close(() => resolve())),
    );
    this.#servers.clear();
    this.#port = undefined;
    for (const socket of this.#accepted) socket.destroy();
    return Promise.all(closing).then(() => {});
  }

  #serverContext() {
    const { privateKeyPem: key, certificatePem, caPem: ca } = this.#components.credentials;
    // The CA rides along so that a joiner can compare it with the digest in its token.
    return { key, cert: `${certificatePem}\n${ca}`, ca, minVersion: 'TLSv1.3' } as const;
  }

  /** Who the other end is, if this node talks to it. Throws `identity_refused`, `admit`'s. */
  #identify(socket: tls.TLSSocket, address: string): LinkIdentity {
    const remote = identityOf(socket, address);
    this.#options.admit?.(remote);
    return remote;
  }

  #protocols(): string[] {
    const protocols = [PEER_PROTOCOL];
    if (this.#options.bulk !== false) protocols.push(BULK_PROTOCOL);
    if (this.#options.onJoin !== undefined) protocols.push(JOIN_PROTOCOL);
    return protocols;
  }

  #dialOptions(address: string, name: string | undefined, readBuffer: ReadBuffer) {
    const { credentials } = this.#components;
    const options: tls.ConnectionOptions & { onread: net.OnReadOpts } = {
      ...parseAddress(address),
      key: credentials.privateKeyPem,
      cert: credentials.certificatePem,
      ca: credentials.caPem,
      minVersion: 'TLSv1.3',
      ALPNProtocols: [PEER_PROTOCOL],
      // `identityOf` refuses what TLS did not verify, after the handshake rather than within it, so
      // that the other side learns the reason instead of seeing the connection vanish.
      rejectUnauthorized: false,
      // Certificates name nodes, not hosts.
      checkServerIdentity: (_host, certificate) => {
        const subject = certificate.subjectaltname;
        if (name === undefined || subject === `DNS:${name}`) return undefined;
        return new Error(`it is ${subject?.replace('DNS:', '') ?? 'nameless'}, not ${name}`);
      },
      onread: { buffer: readBuffer.buffer, callback: readBuffer.callback },
    };
    return options;
  }

  #accept(socket: tls.TLSSocket, onLink: (link: Link) => void): void {
    const { log, clock } = this.#components;
    const address = remoteOf(socket);
    // Until a pipe or the join exchange listens, a reset must not crash the process.
    socket.on('error', () => {});
    if (socket.alpnProtocol === JOIN_PROTOCOL && this.#options.onJoin !== undefined) {
      serveJoin(socket, { onJoin: this.#options.onJoin, clock, log });
      return;
    }
    const bulk = socket.alpnProtocol === BULK_PROTOCOL;
    if (socket.alpnProtocol !== PEER_PROTOCOL && !bulk) {
      socket.destroy();
      return;
    }
    try {
      if (bulk) {
        this.#bulk.accept(socket, address);
        return;
      }
      const remote = this.#identify(socket, address);
      onLink(this.#link(socket, { remote, dialled: false, address }));
    } catch (error) {
      if (hasCode(error)) log.warn({ address, code: error.code }, error.message);
      if (bulk) socket.destroy();
      else this.#refuse(socket, { address, error });
    }
  }

  /** Tells the other side why, in the form that it would read on a link, and ends. */
  #refuse(
    socket: tls.TLSSocket,
    why: { address: string; error: unknown; readBuffer?: ReadBuffer },
  ): void {
    const { error, ...rest } = why;
    if (!hasCode(error)) throw error;
    const remote = { name: 'unknown', fingerprint: '' };
    const link = this.#link(socket, { remote, dialled: false, ...rest });
    link.open({
      stream: () => {
        throw error;
      },
      closed() {},
    });
    link.destroy(error);
  }

  #link(
    socket: tls.TLSSocket,
    to: { remote: Link['remote']; dialled: boolean; address: string; readBuffer?: ReadBuffer },
  ): Link {
    const { readBuffer, ...rest } = to;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, TRANSPORT_DEFAULTS.keepAliveMs);
    const pipe = new TlsPipe(socket, this.#components.clock, readBuffer);
    return new MuxLink({
      pipe,
      ...rest,
      ...(this.#options.bulk !== false && { bulk: this.#bulk }),
    });
  }
}

function remoteOf(socket: net.Socket): string {
  return formatAddress({ host: socket.remoteAddress ?? 'unknown', port: socket.remotePort ?? 0 });
}

/** Why an address cannot be listened on; `taken` when somebody else has it. */
export function listenError(
  error: unknown,
  address: Address,
  taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE',
): FlotillaError {
  const where = formatAddress(address);
  const details = { address: where };
  if (taken) {
    const message = `another process already listens on ${where}`;
    return new FlotillaError('port_in_use', message, { details, cause: error });
  }
  const message = `cannot listen on ${where}: ${messageOf(error)}`;
  return new FlotillaError('address_unusable', message, { details, cause: error });
}
