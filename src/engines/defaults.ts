// Every literal and limit of engines. Times are milliseconds unless the name says otherwise.

/** Engines that answer over HTTP, whoever runs them. */
export const ENGINE_DEFAULTS = {
  /** Between two health checks of an engine that is up. */
  checkIntervalMs: 2_000,
  /** Between two of one that is not: it should get requests as soon as it can take them. */
  retryIntervalMs: 500,
  checkTimeoutMs: 1_500,
  /** Failed checks in a row after which an engine that was up is down. */
  failures: 3,
  /** How much it can do compared with others. */
  capacity: 1,
  healthPath: '/health',
  metricsPath: '/metrics',
  /** Largest answer to a check or a scrape. */
  maxAnswerBytes: 4 * 1024 * 1024,
  /** Models of one engine; the rest of a longer list is not served. */
  maxModels: 1_024,
} as const;

/** Engines that a node runs as its own processes. */
export const PROCESS_DEFAULTS = {
  host: '127.0.0.1',
  /** Loading a large model from a slow disk takes minutes. */
  readyTimeoutMs: 600_000,
  /** One that was up and then fails its checks for so long hangs, and is restarted. */
  hungAfterMs: 60_000,
  /** Between SIGTERM and SIGKILL. */
  stopTimeoutMs: 10_000,
  /** Pause before the first restart; each further one is `backoffFactor` times as long. */
  backoffMs: 1_000,
  backoffFactor: 2,
  maxBackoffMs: 60_000,
  /** A pause is shorter by up to this share, so that engines that fall together rise apart. */
  backoffJitter: 0.2,
  /** After so long a life the next restart is a first one again. */
  steadyAfterMs: 120_000,
  /** What is kept of what the process writes, for its last words. */
  keptOutputCharacters: 16 * 1024,
  /** How long its output is waited for after its end. */
  lastWordsMs: 500,
} as const;

/** The simulated engine: about a model of 8 billion parameters on one mid-range GPU. */
export const SIMULATED_DEFAULTS = {
  host: '127.0.0.1',
  port: 8000,
  models: ['simulated'],
  /** 2: everything takes half the time. */
  speed: 1,
  /** Tokens of an answer whose length the request leaves open. */
  outputTokens: 64,
  /** Largest JSON body. */
  maxBodyBytes: 16 * 1024 * 1024,
  model: {
    blockTokens: 16,
    cacheBlocks: 8_192,
    maxRunning: 32,
    maxWaiting: 1_024,
    maxStepTokens: 2_048,
    prefillTokensPerSecond: 8_000,
    decodeTokensPerSecond: 50,
    slowdownPerSequence: 0.01,
  },
} as const;
