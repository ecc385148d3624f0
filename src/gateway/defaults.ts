// Defaults and limits of the HTTP server.

export const GATEWAY_DEFAULTS = {
  /** Only this machine can connect, until the operator names another address. */
  host: '127.0.0.1',
  port: 8080,
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
