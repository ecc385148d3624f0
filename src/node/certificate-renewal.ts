// Renews this node's certificate in time, for the same key, from the member that holds the CA. What
// uses the certificate hears of it from `LiveCredentials`; connections that stand are left alone.
import { FlotillaError, invalidOption, messageOf } from '../core/index.ts';
import { createCsr, fitsTogether, validityOf } from '../identity/index.ts';
import { RENEWAL_DEFAULTS } from './defaults.ts';
import type { Clock, Logger, Prng, Timer } from '../core/index.ts';
import type { ClusterAuthority, Credentials, LiveCredentials } from '../identity/index.ts';
import type { RpcHost } from '../peer/index.ts';

/** Procedure: a node asks the holder of the CA for a new certificate of its own name and key. */
export const RENEW = 'identity.renew';

export interface RenewalComponents {
  readonly host: Pick<RpcHost, 'call'>;
  readonly credentials: LiveCredentials;
  /** The member that holds the CA. */
  readonly holder: () => string;
  /** Keeps new credentials for the next start. */
  readonly save: (credentials: Credentials) => void;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly log: Logger;
}

export interface RenewalOptions {
  /** The share of its validity after which a certificate is renewed. @default 2/3 */
  readonly renewAt?: number;
  /** First pause after a failure; doubled each time. @default 5 s */
  readonly retryMs?: number;
  /** Longest pause after a failure. @default 10 min */
  readonly maxRetryMs?: number;
}

/** Answers `identity.renew` where the CA is. The peer's name is proved by its connection. */
export function serveRenewal(host: Pick<RpcHost, 'handle'>, authority: ClusterAuthority): void {
  host.handle(RENEW, async ({ body }, { peer }) => {
    const { csrPem } = (body ?? {}) as { csrPem?: unknown };
    return { body: { certificatePem: await authority.issue(peer, csrPem as string) } };
  });
}

export class CertificateRenewal {
  readonly #components: RenewalComponents;
  readonly #options: Required<RenewalOptions>;
  #timer: Timer | undefined;
  #dueMs = 0;
  #failures = 0;
  #stopped = false;

  constructor(components: RenewalComponents, options: RenewalOptions = {}) {
    this.#components = components;
    this.#options = { ...RENEWAL_DEFAULTS, ...options };
    const { renewAt } = this.#options;
    if (!(renewAt > 0 && renewAt < 1)) {
      throw invalidOption('renewAt', 'between 0 and 1', renewAt);
    }
  }

  start(): void {
    this.#plan();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Spread a little, so that nodes which joined together do not all come at once. */
  #plan(): void {
    const { clock, credentials, prng } = this.#components;
    const { issuedAtMs, notAfterMs } = validityOf(credentials.certificatePem);
    const share = this.#options.renewAt * (1 - RENEWAL_DEFAULTS.spread * prng.next());
    this.#dueMs = issuedAtMs + (notAfterMs - issuedAtMs) * share;
    this.#failures = 0;
    this.#wait(this.#dueMs - clock.wallTime());
  }

  /** In short steps: wall clocks jump, machines sleep, and timers end at 24 days. */
  #wait(forMs: number): void {
    if (this.#stopped) return;
    const delayMs = Math.min(Math.max(forMs, 0), RENEWAL_DEFAULTS.maxWaitMs);
    this.#timer = this.#components.clock.schedule(delayMs, () => {
      const leftMs = this.#dueMs - this.#components.clock.wallTime();
      if (leftMs > 0) this.#wait(leftMs);
      else void this.#try();
    });
  }

  async #try(): Promise<void> {
    const { credentials, log, clock, prng } = this.#components;
    const { name } = credentials;
    try {
      await this.#renew();
      const { notAfterMs } = validityOf(credentials.certificatePem);
      log.info({ until: new Date(notAfterMs).toISOString() }, 'the certificate was renewed');
    } catch (error) {
      const { notAfterMs } = validityOf(credentials.certificatePem);
      const leftMs = Math.round(notAfterMs - clock.wallTime());
      log.warn({ err: error, leftMs }, `no new certificate for ${name}: ${messageOf(error)}`);
      const { retryMs, maxRetryMs } = this.#options;
      const pauseMs = Math.min(maxRetryMs, retryMs * 2 ** this.#failures++);
      this.#wait(pauseMs * (1 - prng.next() / 2));
      return;
    }
    this.#plan();
  }

  async #renew(): Promise<void> {
    const { host, credentials, holder, save } = this.#components;
    const { name, privateKeyPem, caPem } = credentials;
    const csrPem = await createCsr(name, privateKeyPem);
    const timeoutMs = RENEWAL_DEFAULTS.callTimeoutMs;
    const { body } = await host.call(holder(), RENEW, { body: { csrPem } }, { timeoutMs });
    const { certificatePem } = (body ?? {}) as { certificatePem?: unknown };
    const next = { name, certificatePem: String(certificatePem), privateKeyPem, caPem };
    if (!fitsTogether(next)) {
      throw new FlotillaError('certificate_untrusted', 'the new certificate is not for this node');
    }
    if (this.#stopped) return;
    save(next);
    credentials.replace(next);
  }
}
