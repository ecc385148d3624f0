// Bulk sockets over TLS: who offers one waits for a random token on a connection that proves to be
// of the same node; who dials one reads it into a large buffer of its own.
import { randomBytes } from 'node:crypto';
import tls from 'node:tls';
import { FlotillaError } from '../core/index.ts';
import { parseAddress } from './address.ts';
import { BULK_PROTOCOL, BULK_READ_BYTES, BULK_TOKEN_BYTES, BULK_TURN_BYTES } from './defaults.ts';
import { identityOf, refused } from './tls-identity.ts';
import type { Clock } from '../core/index.ts';
import type { BulkOffer, BulkSupport } from './link-bulk.ts';
import type { LinkIdentity } from './link.ts';

export interface TlsBulkComponents {
  readonly clock: Clock;
  /** Key, certificate and CA of this node, as they are when it is asked. */
  readonly credentials: Pick<tls.SecureContextOptions, 'key' | 'cert' | 'ca'>;
  /** Where this node listens; undefined when it does not. */
  listeningPort(): number | undefined;
  readonly timeoutMs: number;
}

interface Offer {
  readonly remote: LinkIdentity;
  readonly onSocket: (socket: tls.TLSSocket) => void;
}

/**
 * Reads a bulk socket in turns with everything else: libuv would go on while there are bytes, up to
 * 2 MiB, and the messages of a millisecond would wait.
 */
class ReadTurns {
  readonly #read: (bytes: Uint8Array, start: number, end: number) => boolean;
  readonly #resume: () => void;
  #bytes = 0;

  constructor(
    read: (bytes: Uint8Array, start: number, end: number) => boolean,
    resume: () => void,
  ) {
    this.#read = read;
    this.#resume = resume;
  }

  /** False: read no more for now. Whoever said so resumes. */
  read(buffer: Uint8Array, count: number): boolean {
    if (!this.#read(buffer, 0, count)) {
      this.#bytes = 0;
      return false;
    }
    this.#bytes += count;
    if (this.#bytes < BULK_TURN_BYTES) return true;
    this.#bytes = 0;
    setImmediate(this.#resume);
    return false;
  }
}

export class TlsBulk implements BulkSupport {
  readonly clock: Clock;
  readonly #components: TlsBulkComponents;
  readonly #offers = new Map<string, Offer>();

  constructor(components: TlsBulkComponents) {
    this.clock = components.clock;
    this.#components = components;
  }

  offer(remote: LinkIdentity, onSocket: (socket: tls.TLSSocket) => void): BulkOffer | undefined {
    const port = this.#components.listeningPort();
    if (port === undefined) return undefined;
    const token = randomBytes(BULK_TOKEN_BYTES);
    const key = token.toString('hex');
    this.#offers.set(key, { remote, onSocket });
    return { token, port, withdraw: () => this.#offers.delete(key) };
  }

  /** A connection for a bulk socket was accepted: its first bytes have to be a token. */
  accept(socket: tls.TLSSocket, address: string): void {
    const remote = identityOf(socket, address);
    const timer = this.clock.schedule(this.#components.timeoutMs, () => socket.destroy());
    socket.once('close', () => timer.cancel());
    let token = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      token = Buffer.concat([token, chunk]);
      if (token.length < BULK_TOKEN_BYTES) return;
      timer.cancel();
      socket.off('data', onData);
      const offer = this.#take(token, remote);
      if (offer === undefined) {
        socket.destroy();
        return;
      }
      socket.setNoDelay(true);
      // Nothing comes this way, but the end has to be noticed.
      socket.on('data', () => socket.destroy());
      offer.onSocket(socket);
    };
    socket.on('data', onData);
  }

  dial(
    link: { remote: LinkIdentity; dialled: boolean; address: string },
    { token, port }: { token: Uint8Array; port: number },
    read: (bytes: Uint8Array, start: number, end: number) => boolean,
  ): Promise<tls.TLSSocket> {
    const { timeoutMs, credentials } = this.#components;
    const target = parseAddress(link.address);
    const { name, fingerprint } = link.remote;
    const socket = tls.connect({
      host: target.host,
      // The port that was dialled leads to the other end; one that was dialled from does not.
      port: link.dialled ? target.port : port,
      ...credentials,
      minVersion: 'TLSv1.3',
      ALPNProtocols: [BULK_PROTOCOL],
      checkServerIdentity: (_host, { subjectaltname }) =>
        subjectaltname === `DNS:${name}` ? undefined : new Error(`it is not ${name}`),
      onread: {
        buffer: Buffer.allocUnsafeSlow(BULK_READ_BYTES),
        callback: (count: number, buffer: Uint8Array) => turns.read(buffer, count),
      },
    } as tls.ConnectionOptions);
    const turns = new ReadTurns(read, () => socket.resume());
    return new Promise((resolve, reject) => {
      const timer = this.clock.schedule(timeoutMs, () => socket.destroy());
      socket.on('error', reject);
      socket.once('close', () => {
        timer.cancel();
        reject(new FlotillaError('link_closed', `the bulk connection to ${name} broke`));
      });
      socket.once('secureConnect', () => {
        timer.cancel();
        try {
          const remote = identityOf(socket, link.address);
          if (remote.fingerprint !== fingerprint) {
            throw refused(link.address, `it shows another key than ${name} did`);
          }
          if (socket.alpnProtocol !== BULK_PROTOCOL) {
            throw refused(link.address, 'it does not take bulk connections');
          }
          socket.setNoDelay(true);
          socket.write(token);
          resolve(socket);
        } catch (error) {
          socket.destroy();
          reject(error);
        }
      });
    });
  }

  /** The offer of a token that came from the node it was made to; each is taken once. */
  #take(token: Buffer, remote: LinkIdentity): Offer | undefined {
    const key = token.toString('hex');
    const offer = this.#offers.get(key);
    if (offer?.remote.fingerprint !== remote.fingerprint) return undefined;
    this.#offers.delete(key);
    return offer;
  }
}
