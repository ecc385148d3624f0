// Links over QUIC: quinn, through the native binding of an optional package. Owns endpoints,
// dialling and the exchange of proofs that opens a link; what a link carries is `QuicLink`'s.
import { lookup } from 'node:dns/promises';
import { isIPv6 } from 'node:net';
import { hasCode, messageOf } from '../core/index.ts';
import { formatAddress, parseAddress } from './address.ts';
import { decodeReason, encodeReason } from './close-reason.ts';
import {
  QUIC_ACCEPTS,
  QUIC_DEFAULTS,
  QUIC_PORT_TRIES,
  QUIC_SPARE_STREAMS,
  TRANSPORT_DEFAULTS,
} from './defaults.ts';
import { dialReason, unreachable } from './dial-errors.ts';
import { loadQuicBinding } from './quic-binding.ts';
import { createQuicKey, parseMultiaddr } from './quic-key.ts';
import { QuicControl, QuicLink } from './quic-link.ts';
import { probePort } from './quic-probe.ts';
import { createProof, decodeProof, verifyProof } from './quic-proof.ts';
import { decodeClose } from './quic-records.ts';
import { listenError, TlsTransport } from './tls.ts';
import { refused } from './tls-identity.ts';
import type { Clock, Logger } from '../core/index.ts';
import type { Credentials } from '../identity/index.ts';
import type { OnJoin } from './join-messages.ts';
import type { Address, ConnectOptions, Link, LinkIdentity, Transport } from './link.ts';
import type { QuicBinding, QuicClient, QuicConnection, QuicServer } from './quic-binding.ts';
import type { QuicBulkCounters } from './quic-bulk.ts';
import type { QuicKey } from './quic-key.ts';
import type { QuicBulkSupport } from './quic-link.ts';

export interface QuicTransportComponents {
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface QuicTransportOptions {
  /** Admits joiners, over TLS; only on nodes that hold the CA. */
  readonly onJoin?: OnJoin;
  /** Throws for whom this node refuses although the certificate is good, for example revoked. */
  readonly admit?: (remote: LinkIdentity) => void;
  /** @default 10 000 */
  readonly connectTimeoutMs?: number;
  /** Long writes go over TLS, when their reader can dial this node. @default true */
  readonly bulk?: boolean;
}

/** An open connection whose other end has proved who it is. */
interface Proved {
  readonly connection: QuicConnection;
  readonly control: QuicControl;
  readonly remote: LinkIdentity;
  readonly address: string;
}

/**
 * Listens on UDP, and on the TCP port of the same number: bulk sockets, joiners and links over TLS
 * arrive there.
 */
export class QuicTransport implements Transport {
  readonly name: string;
  /** How long writes left. */
  readonly counters: QuicBulkCounters = { movedStreams: 0, stayedWrites: 0 };
  readonly #components: QuicTransportComponents;
  readonly #connectTimeoutMs: number;
  readonly #admit: ((remote: LinkIdentity) => void) | undefined;
  readonly #binding: QuicBinding;
  readonly #key: QuicKey = createQuicKey();
  readonly #config: object;
  readonly #tls: TlsTransport;
  readonly #bulk: QuicBulkSupport | undefined;
  readonly #servers = new Set<QuicServer>();
  /** Sockets that dial, by family. */
  readonly #clients = new Map<0 | 1, QuicClient>();
  #stopped = false;

  /** Errors: `quic_unavailable`. */
  constructor(components: QuicTransportComponents, options: QuicTransportOptions = {}) {
    const { maxIdleTimeoutMs, keepAliveIntervalMs, ...limits } = QUIC_DEFAULTS;
    this.name = components.credentials.name;
    this.#components = components;
    this.#connectTimeoutMs = options.connectTimeoutMs ?? TRANSPORT_DEFAULTS.connectTimeoutMs;
    this.#admit = options.admit;
    this.#tls = new TlsTransport(components, options);
    const { counters } = this;
    if (options.bulk !== false) this.#bulk = { support: this.#tls.bulk, counters };
    this.#binding = loadQuicBinding();
    this.#config = new this.#binding.QuinnConfig({
      privateKeyProto: this.#key.privateKeyProto,
      handshakeTimeout: this.#connectTimeoutMs,
      shutdownTimeout: TRANSPORT_DEFAULTS.closeTimeoutMs,
      maxIdleTimeout: maxIdleTimeoutMs,
      keepAliveInterval: keepAliveIntervalMs,
      maxConcurrentStreamLimit: TRANSPORT_DEFAULTS.maxInboundStreams + QUIC_SPARE_STREAMS,
      maxStreamData: limits.maxStreamBytes,
      maxConnectionData: limits.maxConnectionBytes,
      receiveBufferSize: limits.socketBufferBytes,
      sendBufferSize: limits.socketBufferBytes,
    });
  }

  async listen(address: Address, onLink: (link: Link) => void): Promise<Address> {
    for (let left = address.port === 0 ? QUIC_PORT_TRIES : 1; ; left--) {
      const { port } = await this.#tls.listen(address, onLink);
      try {
        const { address: ip } = await lookup(address.host);
        const server = new this.#binding.Server(this.#config, ip, port);
        this.#servers.add(server);
        for (let i = 0; i < QUIC_ACCEPTS; i++) void this.#accept(server, onLink);
        return { host: address.host, port };
      } catch (error) {
        await this.#tls.stop();
        const taken = messageOf(error).includes('in use');
        // The system gave a port that is free for TCP only: another one may be free for both.
        if (!taken || left === 1) throw listenError(error, { ...address, port }, taken);
      }
    }
  }

  async connect(address: string, options: ConnectOptions = {}): Promise<Link> {
    const target = parseAddress(address);
    const timeoutMs = options.timeoutMs ?? this.#connectTimeoutMs;
    const late = unreachable(address, `no answer within ${timeoutMs} ms`);
    let connection: QuicConnection | undefined;
    let expired = false;
    const timeout = Promise.withResolvers<never>();
    const timer = this.#components.clock.schedule(timeoutMs, () => {
      expired = true;
      connection?.abort();
      timeout.reject(late);
    });
    const dial = async (): Promise<Link> => {
      connection = await this.#dial(target, address);
      if (expired) connection.abort();
      return this.#open(await this.#prove(connection, address, options.name), true);
    };
    try {
      return await Promise.race([dial(), timeout.promise]);
    } finally {
      timer.cancel();
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const servers = [...this.#servers].map((server) => server.abort());
    this.#servers.clear();
    for (const client of this.#clients.values()) client.abort();
    this.#clients.clear();
    await Promise.all([...servers, this.#tls.stop()]);
  }

  async #dial({ host, port }: Address, address: string): Promise<QuicConnection> {
    const refusal = Promise.withResolvers<never>();
    let stopProbe = () => {};
    try {
      const { address: ip } = await lookup(host);
      stopProbe = probePort({ ip, port }, refusal.reject);
      const dialled = this.#client(isIPv6(ip) ? 1 : 0).outboundConnection(ip, port);
      return await Promise.race([dialled, refusal.promise]);
    } catch (error) {
      throw unreachable(address, dialReason(error), error);
    } finally {
      stopProbe();
    }
  }

  #client(family: 0 | 1): QuicClient {
    const client = this.#clients.get(family) ?? new this.#binding.Client(this.#config, family);
    this.#clients.set(family, client);
    return client;
  }

  /** The dialler shows its proof first, then learns who answered. */
  async #prove(connection: QuicConnection, address: string, name?: string): Promise<Proved> {
    const remoteKey = this.#remoteKey(connection, address);
    let control: QuicControl;
    let record: unknown;
    try {
      control = new QuicControl(await connection.outboundStream());
      control.send(this.#proof(remoteKey, true));
      record = await control.read();
    } catch (error) {
      connection.abort();
      if (hasCode(error)) throw error;
      throw unreachable(address, 'it broke off the handshake', error);
    }
    try {
      const close = decodeClose(record);
      if (close !== undefined) throw decodeReason(close.reason);
      const remote = this.#verify(record, { remoteKey, remoteDialled: false, address });
      if (name !== undefined && remote.name !== name) {
        throw refused(address, `it is ${remote.name}, not ${name}`);
      }
      return { connection, control, remote, address };
    } catch (error) {
      this.#refuse(connection, control, error);
      throw error;
    }
  }

  async #accept(server: QuicServer, onLink: (link: Link) => void): Promise<void> {
    while (!this.#stopped) {
      let connection: QuicConnection;
      try {
        connection = await server.inboundConnection();
      } catch (error) {
        const { log } = this.#components;
        if (!this.#stopped) log.warn({}, `a connection was no QUIC peer: ${messageOf(error)}`);
        continue;
      }
      void this.#greet(connection, onLink);
    }
  }

  async #greet(connection: QuicConnection, onLink: (link: Link) => void): Promise<void> {
    const { log, clock } = this.#components;
    const { host, port } = parseMultiaddr(connection.remoteMultiaddr());
    const address = formatAddress({ host, port });
    const timer = clock.schedule(this.#connectTimeoutMs, () => connection.abort());
    let control: QuicControl | undefined;
    let proved: Proved;
    try {
      const remoteKey = this.#remoteKey(connection, address);
      control = new QuicControl(await connection.inboundStream());
      const record = await control.read();
      const remote = this.#verify(record, { remoteKey, remoteDialled: true, address });
      control.send(this.#proof(remoteKey, false));
      proved = { connection, control, remote, address };
    } catch (error) {
      if (hasCode(error)) log.warn({ address, code: error.code }, error.message);
      this.#refuse(connection, control, error);
      return;
    } finally {
      timer.cancel();
    }
    onLink(this.#open(proved, false));
  }

  #remoteKey(connection: QuicConnection, address: string): Uint8Array {
    const { publicKey } = parseMultiaddr(connection.remoteMultiaddr());
    if (publicKey !== undefined) return publicKey;
    connection.abort();
    throw refused(address, 'its QUIC key is no Ed25519 key');
  }

  #proof(other: Uint8Array, signerDialled: boolean): object {
    const signer = this.#key.publicKey;
    return createProof(this.#components.credentials, { signer, other, signerDialled });
  }

  #verify(
    record: unknown,
    from: { remoteKey: Uint8Array; remoteDialled: boolean; address: string },
  ): LinkIdentity {
    const { credentials, clock } = this.#components;
    const { remoteKey: signer, remoteDialled: signerDialled, address } = from;
    const ends = { signer, other: this.#key.publicKey, signerDialled };
    const trust = { caPem: credentials.caPem, clock, address };
    const remote = verifyProof(decodeProof(record), ends, trust);
    this.#admit?.(remote);
    return remote;
  }

  /** Tells the other end why, and ends. */
  #refuse(connection: QuicConnection, control: QuicControl | undefined, error: unknown): void {
    if (control === undefined || !hasCode(error)) {
      connection.abort();
      return;
    }
    control.send({ reason: encodeReason(error), now: true, ended: 0, streams: [] });
    control.writer.finish();
    const { closeTimeoutMs } = TRANSPORT_DEFAULTS;
    const timer = this.#components.clock.schedule(closeTimeoutMs, () => connection.abort());
    void connection.closed().then(() => timer.cancel());
    // Whoever reads the reason ends the connection; until then it is heard out.
    control.read().then(
      () => connection.abort(),
      () => connection.abort(),
    );
  }

  #open({ connection, control, remote, address }: Proved, dialled: boolean): QuicLink {
    const { clock } = this.#components;
    const bulk = this.#bulk;
    return new QuicLink({ connection, control, remote, dialled, address, clock, bulk });
  }
}
