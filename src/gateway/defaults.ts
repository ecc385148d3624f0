// Defaults and limits of the HTTP server.

export const GATEWAY_DEFAULTS = {
  /** Only this machine can connect, until the operator names another address. */
  host: '127.0.0.1',
  port: 8080,
  /** Of the routes and their shapes, as the OpenAPI document names it. */
  apiVersion: '1.0.0',
  /** Networks whose programs may make and revoke API keys: this machine's. */
  operators: ['127.0.0.0/8', '::1/128'],
  /** Largest JSON body. 2048 inputs of 256 characters fit with room to spare. */
  maxBodyBytes: 1024 * 1024,
  /** Largest body of a training as it arrives; gzip counts compressed. */
  maxTrainBodyBytes: 256 * 1024 * 1024,
  /** Largest body of a training after decompression: what a small archive may grow to. */
  maxTrainTextBytes: 1024 * 1024 * 1024,
  /** Inputs of one embeddings request, as OpenAI's limit. */
  maxInputs: 2_048,
  /** Characters of one word, entity or relation. */
  maxWordCharacters: 1_024,
  /** Neighbours or completions asked for without a `k`. */
  k: 10,
  maxK: 1_000,
  /** How long requests in progress may finish on stop; then their connections are cut. */
  stopTimeoutMs: 3_000,
  /** How long a client may take to send a request; a training's body is the slowest. */
  requestTimeoutMs: 300_000,
  /** Characters of a client's x-request-id that are echoed; others get one made here. */
  maxRequestIdCharacters: 128,
} as const;

/** Upper bounds of the request duration histogram, seconds. */
export const DURATION_BUCKETS_S = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60,
] as const;

/** Upper bounds of the histogram of the time to the first token, seconds. */
export const TTFT_BUCKETS_S = [
  0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60,
] as const;

/** Requests that go to engines. */
export const INFERENCE_DEFAULTS = {
  sessionHeader: 'x-session-id',
  /** Largest body: a conversation with a few pictures. */
  maxInferenceBytes: 32 * 1024 * 1024,
  /** What a token is taken for where no prompt is looked at. */
  charsPerToken: 4,
  /** Tokens of an answer whose length the request leaves open, for the rates. */
  answerTokens: 256,
  /** What a request can claim for its answer at most. */
  maxAnswerTokens: 1_000_000,
  /** Choices of one try that are given up because their endpoint was just gone. */
  maxPicks: 8,
  /** An engine that asks for a longer pause is believed: its answer goes to the client. */
  maxRetryWaitMs: 2_000,
  /** Last bytes of an answer, in which its usage stands. */
  usageTailBytes: 4_096,
} as const;

export const CORS_DEFAULTS = {
  allowed: 'authorization, content-type, x-request-id, x-session-id',
  exposed: 'x-request-id, x-flotilla-route, retry-after',
  /** How long a browser remembers the answer to a preflight. */
  maxAgeS: 600,
} as const;

/** Engines behind other nodes. */
export const ENGINE_LINK = {
  /** Procedures. */
  list: 'engines.list',
  call: 'engines.call',
  listTimeoutMs: 5_000,
  /** Before a member whose list is not known is asked again. */
  askAgainMs: 1_000,
  /** The longest that an answer may take; engines stop earlier by their own timeouts. */
  timeoutMs: 3_600_000,
  /** Bytes of an answer that have not left, above which the engine is not read. */
  maxUnsentBytes: 1024 * 1024,
  /** How often the router is told the gossiped loads. */
  hearIntervalMs: 250,
  maxEngines: 256,
  maxModels: 1_024,
  maxNameCharacters: 256,
  /** Of why an engine is not up. */
  maxProblemCharacters: 1_024,
} as const;

/** Traces of OpenTelemetry. */
export const TRACING_DEFAULTS = {
  serviceName: 'flotilla',
  sampleRatio: 1,
  headers: {} as Readonly<Record<string, string>>,
  /** Spans that wait to be sent; those that come then are dropped. */
  maxWaiting: 4_096,
  /** Spans of one request to the collector. */
  batch: 512,
  /** How long a span waits for others to go with. */
  intervalMs: 1_000,
  /** The collector's time for one request. */
  timeoutMs: 5_000,
} as const;
