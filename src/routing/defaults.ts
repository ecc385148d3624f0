// Every literal and limit of routing. Times are milliseconds unless the name says otherwise.

export const PROMPT_DEFAULTS = {
  /** Characters of a block: about 64 tokens. Smaller matches closer, costs memory and time. */
  blockChars: 256,
  /** What a token is taken for; only ratios of estimates matter. */
  charsPerToken: 4,
  /** Blocks of a prompt that are hashed: 2^20 characters. The rest counts as tokens only. */
  maxBlocks: 4_096,
  /** Blocks that name the conversation of a prompt without messages. */
  rootBlocks: 4,
} as const;

export const INDEX_DEFAULTS = {
  /** Memory of the index; the least recently used prefixes go first. */
  maxBytes: 32 * 2 ** 20,
  /** A prefix is taken for cached at most so long after it was last sent, at least half of it. */
  ttlMs: 300_000,
  /** Look-ups of one match: it ends there, with what it has found. */
  maxProbes: 48,
} as const;

export const ROUTER_DEFAULTS = {
  /** How requests are spread. */
  policy: 'prefix-affinity',
  /** Endpoints that one router knows; each entry of the index has two bits for each. */
  maxEndpoints: 256,
  /** In-flight requests of an endpoint over the mean, from which the ring's walk goes on. */
  loadFactor: 1.25,
} as const;

export const AFFINITY_DEFAULTS = {
  /**
   * Below so many requests in flight prefix affinity never walks on: with few requests the mean
   * says little, and gateways that do not see each other's would disagree.
   */
  minLoadCap: 32,
  /** What a request in flight costs those that come after it, in tokens of prefill. */
  inFlightTokens: 16,
  /**
   * How much of a conversation's history its home on the ring is taken to hold when this router has
   * not seen it: another gateway may have sent it there.
   */
  homeTrust: 0.9,
  /**
   * Tokens of waiting at which a request is still sent to its home on the ring. Above the length of
   * most system prompts: or each gateway would begin conversations where it knows theirs to be, and
   * the others would not find them.
   */
  homeSlackTokens: 4_096,
  /**
   * Tokens of waiting, over what its cache saves, at which a conversation stays with its holder. To
   * be read anew elsewhere costs the others there, too, and drives theirs out of the cache.
   */
  holderSlackTokens: 2_048,
} as const;

export const PREFILL_DEFAULTS = {
  /** Tokens per millisecond, until the first endpoint's rate is known. */
  tokensPerMs: 8,
  /** Share of the newest sample in an endpoint's rate. */
  alpha: 0.2,
  /** Fewer tokens than this say nothing of the rate: what they take is mostly overhead. */
  minSampleTokens: 128,
  /** Time in which what is special about an endpoint's rate is half forgotten. */
  halfLifeMs: 30_000,
  /** Rates are aged in steps of this share of the half-life. */
  fadeStep: 1 / 32,
} as const;

export const BREAKER_DEFAULTS = {
  /** Failures in a row that open it. */
  failures: 5,
  /** How long it stays open before it lets probes through. */
  openMs: 30_000,
  /** Probes in flight while half-open. */
  probes: 3,
  /** Successful probes that close it. */
  successes: 2,
} as const;

export const EJECTION_DEFAULTS = {
  /** 5xx answers in a row that eject an endpoint (Envoy). */
  consecutive: 5,
  /** Length of the first ejection; the n-th is n times as long. */
  baseMs: 30_000,
  /** No ejection is longer. */
  maxMs: 300_000,
  /** Share of the endpoints that may be ejected at once; one always may, the last never. */
  maxShare: 0.1,
} as const;

export const SLOW_START_DEFAULTS = {
  /** Time after which an endpoint that came or came back gets its full share. */
  windowMs: 30_000,
  /** Its share at the beginning. */
  minWeight: 0.1,
} as const;

export const RETRY_DEFAULTS = {
  /** Tries of one request, the first included. */
  tries: 5,
  baseMs: 50,
  multiplier: 1.5,
  /** A delay is longer or shorter by up to this share, so that retries do not come in step. */
  jitter: 0.2,
  /** Retries per request, over time: an outage must not be answered with five times the load. */
  budget: 0.2,
  /** Retries a second that are allowed to those who send few requests. */
  reservePerSecond: 1,
  /** Retries that can be saved up. */
  maxSaved: 50,
  /** Statuses that another endpoint, or this one later, may answer better. */
  statuses: [408, 429, 500, 502, 503, 504],
} as const;

export const HEDGE_DEFAULTS = {
  enabled: false,
  quantile: 0.95,
  /** Hedges per request, over time. */
  budget: 0.05,
  /** Hedges that can be saved up. */
  maxSaved: 10,
  /** Times to the first byte that are remembered, and with how few nothing is hedged. */
  samples: 512,
  minSamples: 64,
  minDelayMs: 10,
  /** Times after which the quantile is taken anew: it costs a sort. */
  refreshEvery: 32,
} as const;
