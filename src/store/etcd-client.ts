// The members of an etcd cluster as one callee: one client for each, one of them in use, the next
// one after a failure; a deadline on every call; etcd's errors by our names. Retries are ours, not
// the library's: it repeats a transaction whose answer was lost, which then reports a conflict with
// itself.
import { Etcd3, isRecoverableError } from 'etcd3';
import { FlotillaError, hasCode, invalidOption, messageOf, sleep } from '../core/index.ts';
import { ETCD_CALL_TIMEOUT_MS, ETCD_CHANNEL, RETRY_FIRST_MS, RETRY_LAST_MS } from './defaults.ts';
import { checkKey } from './rules.ts';
import { within } from './within.ts';
import type { IOptions } from 'etcd3';
import type { Clock } from '../core/index.ts';

export interface EtcdOptions {
  /** `host:port` of the members, most of them; the first that answers is used. */
  readonly hosts: readonly string[];
  /** What every key begins with, to a slash; fleets that share an etcd differ in it. */
  readonly prefix: string;
  /** Speaks TLS: PEM texts of the CA and, for client certificates, of certificate and key. */
  readonly tls?: { readonly ca: string; readonly certificate?: string; readonly key?: string };
  /** For an etcd with authentication. */
  readonly user?: { readonly name: string; readonly password: string };
  /** The deadline of a call. Lower notices a dead etcd sooner. @default 5 s */
  readonly callTimeoutMs?: number;
}

/** A call that is sent to one member, with grpc's deadline. */
export type Send<T> = (member: Etcd3, options: { deadline: number }) => Promise<T>;

type FaultHandling = NonNullable<IOptions['faultHandling']>;

/** Runs what it is given, once, now. */
const ONCE = { execute: async (work: (context: object) => unknown) => work({}) };
const NO_RETRIES = { global: ONCE, host: () => ONCE } as unknown as FaultHandling;

/** Failures of grpc that come before the request has left. */
const NOT_SENT = /No connection established|ECONNREFUSED|ENOTFOUND|Name resolution failed/;
const TOO_LARGE = /request is too large|too many operations|larger than max/;

export class EtcdClient {
  readonly prefix: string;
  readonly #clock: Clock;
  readonly #hosts: readonly string[];
  readonly #members: readonly Etcd3[];
  readonly #timeoutMs: number;
  readonly #closed = new AbortController();
  #current = 0;

  constructor(clock: Clock, options: EtcdOptions) {
    const { hosts, prefix, callTimeoutMs = ETCD_CALL_TIMEOUT_MS } = options;
    if (hosts.length === 0) throw invalidOption('hosts', 'at least one', 'none');
    for (const host of hosts) {
      if (!/^[^/]+:\d{1,5}$/.test(host)) throw invalidOption('hosts', 'host:port', host);
    }
    if (!(callTimeoutMs > 0)) throw invalidOption('callTimeoutMs', 'over 0', callTimeoutMs);
    checkKey(prefix);
    if (!prefix.endsWith('/')) throw invalidOption('prefix', 'text that ends with /', prefix);
    this.prefix = prefix;
    this.#clock = clock;
    this.#hosts = hosts;
    this.#timeoutMs = callTimeoutMs;
    this.#members = hosts.map((host) => new Etcd3(this.#optionsOf(host, options)));
  }

  get closed(): boolean {
    return this.#closed.signal.aborted;
  }

  /** A call that may be repeated: it changes nothing, or the same when done twice. */
  async repeat<T>(send: Send<T>): Promise<T> {
    const endMs = this.#clock.now() + this.#timeoutMs;
    const limitMs = this.#timeoutMs / this.#hosts.length;
    for (let pauseMs = RETRY_FIRST_MS; ; pauseMs = Math.min(2 * pauseMs, RETRY_LAST_MS)) {
      try {
        return await this.#attempt(send, Math.min(limitMs, endMs - this.#clock.now()));
      } catch (error) {
        const late = this.#clock.now() + pauseMs >= endMs;
        if (late || !hasCode(error, 'store_unavailable') || error.details.final === true) {
          throw error;
        }
      }
      await this.#pause(pauseMs);
    }
  }

  /** A call that may be sent once; again only when it has surely not left. */
  async once<T>(send: Send<T>): Promise<T> {
    const endMs = this.#clock.now() + this.#timeoutMs;
    for (let pauseMs = RETRY_FIRST_MS; ; pauseMs = Math.min(2 * pauseMs, RETRY_LAST_MS)) {
      try {
        return await this.#attempt(send, endMs - this.#clock.now());
      } catch (error) {
        const late = this.#clock.now() + pauseMs >= endMs;
        if (late || !hasCode(error) || error.details.outcome !== 'not_done') throw error;
      }
      await this.#pause(pauseMs);
    }
  }

  /** Opens a stream that has no deadline; `failed` tells when it broke. */
  async stream<T>(open: (member: Etcd3) => Promise<T>): Promise<{ stream: T; failed(): void }> {
    this.checkOpen();
    const at = this.#current;
    try {
      const stream = await within(this.#clock, this.#timeoutMs, open(this.#members[at]!));
      return { stream, failed: () => this.#leave(at) };
    } catch (error) {
      this.#leave(at);
      throw this.nameError(error);
    }
  }

  close(): void {
    if (this.closed) return;
    this.#closed.abort();
    for (const member of this.#members) member.close();
  }

  /** Errors: `store_unavailable`. */
  checkOpen(): void {
    if (!this.closed) return;
    throw new FlotillaError('store_unavailable', 'the store is closed', {
      details: { final: true },
    });
  }

  /** etcd's error by our names. */
  nameError(cause: unknown): FlotillaError {
    if (hasCode(cause)) return cause;
    const message = messageOf(cause);
    if (/revision has been compacted/.test(message)) {
      return new FlotillaError('revision_compacted', 'etcd no longer has this revision', { cause });
    }
    if (/requested lease not found/.test(message)) {
      return new FlotillaError('lease_lost', 'etcd has no such lease; get a new one', { cause });
    }
    if (TOO_LARGE.test(message)) {
      const text = `etcd refused the size (--max-request-bytes, --max-txn-ops): ${message}`;
      return new FlotillaError('value_too_large', text, { cause });
    }
    const outcome = NOT_SENT.test(message) ? 'not_done' : 'unknown';
    // What etcd understood and refused, such as a password, is not better at another member.
    const final = !(cause instanceof Error && isRecoverableError(cause));
    const text = `etcd at ${this.#hosts.join(', ')} cannot be used: ${message}`;
    return new FlotillaError('store_unavailable', text, { details: { outcome, final }, cause });
  }

  async #attempt<T>(send: Send<T>, limitMs: number): Promise<T> {
    this.checkOpen();
    const at = this.#current;
    const deadline = this.#clock.wallTime() + limitMs;
    try {
      return await within(this.#clock, limitMs, send(this.#members[at]!, { deadline }));
    } catch (error) {
      this.checkOpen();
      const named = this.nameError(error);
      if (named.code === 'store_unavailable') this.#leave(at);
      throw named;
    }
  }

  #leave(member: number): void {
    if (this.#current === member) this.#current = (member + 1) % this.#members.length;
  }

  async #pause(pauseMs: number): Promise<void> {
    await sleep(this.#clock, pauseMs, this.#closed.signal).catch(() => this.checkOpen());
  }

  #optionsOf(host: string, { tls, user, callTimeoutMs }: EtcdOptions): IOptions {
    const timeoutMs = callTimeoutMs ?? ETCD_CALL_TIMEOUT_MS;
    const pem = (text: string) => Buffer.from(text);
    return {
      hosts: [`${tls === undefined ? 'http' : 'https'}://${host}`],
      grpcOptions: ETCD_CHANNEL,
      faultHandling: NO_RETRIES,
      ...(tls && {
        credentials: {
          rootCertificate: pem(tls.ca),
          ...(tls.certificate !== undefined && { certChain: pem(tls.certificate) }),
          ...(tls.key !== undefined && { privateKey: pem(tls.key) }),
        },
      }),
      ...(user && {
        auth: {
          username: user.name,
          password: user.password,
          callOptions: () => ({ deadline: this.#clock.wallTime() + timeoutMs }),
        },
      }),
    };
  }
}
