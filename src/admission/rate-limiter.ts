// Requests and tokens per minute, of each client and of all together. A request passes all buckets
// or none: one that refuses takes nothing from the others. Pure: times come as arguments.
import { invalidOption } from '../core/index.ts';
import { KEY_LIMITS, RATE_DEFAULTS, RETRY_AFTER } from './defaults.ts';
import { refusal } from './errors.ts';
import { TokenBucket } from './token-bucket.ts';
import type { FlotillaError } from '../core/index.ts';

/** A limit that is left out is none. */
export interface RateLimits {
  readonly requestsPerMinute?: number | undefined;
  /** Requests that may come at once after a pause. @default a minute's worth */
  readonly requestBurst?: number | undefined;
  readonly tokensPerMinute?: number | undefined;
  /** Tokens that may be asked for at once after a pause. @default a minute's worth */
  readonly tokenBurst?: number | undefined;
}

export interface RateRequest {
  readonly client: string;
  /** Of this client, from now on. */
  readonly limits?: RateLimits | undefined;
  /** What it will take, as estimated: `settle` puts it right. @default 0 */
  readonly tokens?: number | undefined;
}

export interface RateLimiterOptions {
  /** Of all clients together. @default no limits */
  readonly global?: RateLimits;
  /** More cost memory; fewer forget sooner what a client had used up. @default 65 536 */
  readonly maxClients?: number;
}

interface Buckets {
  requests: TokenBucket | undefined;
  tokens: TokenBucket | undefined;
}

const NONE: Buckets = { requests: undefined, tokens: undefined };

/** What one request took. It outlives its client's buckets without harm. */
export class RateGrant {
  readonly #mine: Buckets;
  readonly #all: Buckets;
  /** Charged so far. */
  #tokens: number;

  constructor(mine: Buckets, all: Buckets, tokens: number) {
    this.#mine = mine;
    this.#all = all;
    this.#tokens = tokens;
  }

  /** What the request really took; may be called again when more is known. */
  settle(usedTokens: number): void {
    if (!(usedTokens >= 0)) return;
    const unused = this.#tokens - Math.min(usedTokens, KEY_LIMITS.maxLimit);
    this.#mine.tokens?.give(unused);
    this.#all.tokens?.give(unused);
    this.#tokens -= unused;
  }

  /** The request was not let in after all: as if it had never come. */
  undo(): void {
    this.settle(0);
    this.#mine.requests?.give(1);
    this.#all.requests?.give(1);
  }
}

export class RateLimiter {
  readonly #all: Buckets;
  readonly #maxClients: number;
  /** The least recently seen first. */
  readonly #clients = new Map<string, Buckets>();

  constructor(options: RateLimiterOptions, nowMs: number) {
    const { global = {}, maxClients = RATE_DEFAULTS.maxClients } = options;
    if (!(Number.isSafeInteger(maxClients) && maxClients >= 1)) {
      throw invalidOption('maxClients', 'a whole number of at least 1', maxClients);
    }
    checkRateLimits(global);
    this.#all = { requests: undefined, tokens: undefined };
    fit(this.#all, global, nowMs);
    this.#maxClients = maxClients;
  }

  /** Clients that are remembered. */
  get clients(): number {
    return this.#clients.size;
  }

  /** Takes a request and its tokens. Errors: `rate_limited`, `gateway_rate_limited`. */
  take(request: RateRequest, nowMs: number): RateGrant {
    const { client, limits, tokens: asked = 0 } = request;
    const tokens = asked >= 0 ? Math.min(asked, KEY_LIMITS.maxLimit) : 0;
    const mine = limits === undefined ? NONE : this.#bucketsOf(client, limits, nowMs);
    const all = this.#all;
    const mineMs = waitOf(mine, tokens, nowMs);
    if (mineMs > 0) throw clientRefused(mine, mineMs, nowMs);
    const allMs = waitOf(all, tokens, nowMs);
    if (allMs > 0) {
      const message = 'the gateway has used up its rate for now';
      throw refusal('gateway_rate_limited', message, { retryAfterS: inSeconds(allMs) });
    }
    for (const buckets of [mine, all]) {
      buckets.requests?.take(1);
      buckets.tokens?.take(tokens);
    }
    return new RateGrant(mine, all, tokens);
  }

  #bucketsOf(client: string, limits: RateLimits, nowMs: number): Buckets {
    const known = this.#clients.get(client);
    const buckets = known ?? { requests: undefined, tokens: undefined };
    fit(buckets, limits, nowMs);
    if (known !== undefined) this.#clients.delete(client);
    else if (this.#clients.size >= this.#maxClients) {
      const [oldest] = this.#clients.keys();
      if (oldest !== undefined) this.#clients.delete(oldest);
    }
    if (buckets.requests ?? buckets.tokens) this.#clients.set(client, buckets);
    return buckets;
  }
}

/** Errors: `invalid_option`. */
export function checkRateLimits(limits: RateLimits): void {
  for (const name of [
    'requestsPerMinute',
    'requestBurst',
    'tokensPerMinute',
    'tokenBurst',
  ] as const) {
    const value = limits[name];
    if (value === undefined) continue;
    if (Number.isSafeInteger(value) && value >= 1 && value <= KEY_LIMITS.maxLimit) continue;
    throw invalidOption(name, `a whole number from 1 to ${KEY_LIMITS.maxLimit}`, value);
  }
}

function fit(buckets: Buckets, limits: RateLimits, nowMs: number): void {
  const { requestsPerMinute, requestBurst, tokensPerMinute, tokenBurst } = limits;
  buckets.requests = fitted(
    buckets.requests,
    { rate: requestsPerMinute, burst: requestBurst },
    nowMs,
  );
  buckets.tokens = fitted(buckets.tokens, { rate: tokensPerMinute, burst: tokenBurst }, nowMs);
}

function fitted(
  bucket: TokenBucket | undefined,
  { rate, burst = rate }: { rate: number | undefined; burst: number | undefined },
  nowMs: number,
): TokenBucket | undefined {
  if (rate === undefined || burst === undefined) return undefined;
  if (bucket === undefined) return new TokenBucket(rate, burst, nowMs);
  if (bucket.perMinute !== rate || bucket.burst !== burst) {
    bucket.waitMs(0, nowMs);
    bucket.change(rate, burst);
  }
  return bucket;
}

function waitOf({ requests, tokens }: Buckets, amount: number, nowMs: number): number {
  return Math.max(requests?.waitMs(1, nowMs) ?? 0, tokens?.waitMs(amount, nowMs) ?? 0);
}

function clientRefused(
  { requests, tokens }: Buckets,
  waitMs: number,
  nowMs: number,
): FlotillaError {
  const isRequests = requests !== undefined && requests.waitMs(1, nowMs) > 0;
  const limit = (isRequests ? requests : tokens)?.perMinute ?? 0;
  const what = isRequests ? 'requests' : 'tokens';
  const retryAfterS = inSeconds(waitMs);
  const message = `the limit of ${limit} ${what} per minute is used up; retry in ${retryAfterS} s`;
  return refusal('rate_limited', message, { retryAfterS, limit, resource: what });
}

/** Rounded up: who comes back then is not refused again. */
function inSeconds(waitMs: number): number {
  return Math.max(RETRY_AFTER.minS, Math.ceil(waitMs / 1_000));
}
