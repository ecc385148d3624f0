// The part of a node's configuration that says which engines are behind it, and how its gateway
// treats requests for inference. Here are the shapes; the parts that get the values check their
// ranges and have their defaults.
import { z } from 'zod';
import { POLICY_NAMES } from '../routing/index.ts';

const name = z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/, {
  error: 'lower-case letters, digits, "." and "-", at most 63',
});
const modelName = z.string().min(1, 'a name that is not empty');
const number = z.number('a number').exactOptional();
const text = z.string('text').exactOptional();

/** What every engine may be given, whoever runs it. */
const shared = {
  /** Unique among the engines of the node. */
  name,
  /** Further names for its models: what clients say, and what the engine says. */
  aliases: z.record(modelName, modelName).exactOptional(),
  /** How much it can do compared with others. @default 1 */
  capacity: number,
  /**
   * Gateways of other nodes reach its address themselves, and send straight there. They get its
   * key, too. @default false: they send through this node
   */
  reachable: z.boolean().default(false),
  /** Between two checks of its health, and while it is not up. @default 2 s, 500 ms */
  checkIntervalMs: number,
  retryIntervalMs: number,
  /** @default 1.5 s */
  checkTimeoutMs: number,
  /** Failed checks in a row after which it is down. @default 3 */
  failures: number,
};

/** What engines that are not ours may be given, too. */
const foreign = {
  ...shared,
  /** Sent as `authorization: Bearer KEY`. */
  apiKey: z.string('the key, which is missing').exactOptional(),
  /** Further header fields of every request. */
  headers: z.record(z.string(), z.string()).exactOptional(),
  /** What it serves, by its own names. @default what it lists itself */
  models: z.array(modelName).min(1, 'at least one name').exactOptional(),
  /** @default "/health" */
  healthPath: text,
  /** @default "/metrics" */
  metricsPath: text,
};

/** A server that runs already and speaks OpenAI's HTTP. */
const openAi = z.strictObject({
  type: z.literal('openai'),
  /** `http://10.0.0.5:8000`, with or without `/v1`. */
  baseUrl: z.string('an http or https URL'),
  ...foreign,
});

/** A program that the node starts, watches and stops. */
const program = z.strictObject({
  type: z.literal('process'),
  command: z.string('a program'),
  /** `{host}` and `{port}` in them are replaced. No shell reads them. */
  args: z.array(z.string()).exactOptional(),
  /** All of its environment but PATH and HOME, which are the node's. */
  environment: z.record(z.string(), z.string()).default({}),
  /** Where it runs. @default where the node does */
  directory: text,
  /** Where it is told to listen. @default 127.0.0.1, and a free port at each start */
  host: text,
  port: number,
  /** How long it may take to load, to hang, and to stop. @default 10 min, 60 s, 10 s */
  readyTimeoutMs: number,
  hungAfterMs: number,
  stopTimeoutMs: number,
  /** Before it is started again: the first pause, and the longest. @default 1 s, 60 s */
  backoffMs: number,
  maxBackoffMs: number,
  ...foreign,
});

/** A simulated one, in the node itself: for trying a fleet where there is no GPU. */
const simulated = z.strictObject({
  type: z.literal('simulated'),
  models: z.array(modelName).min(1, 'at least one name').exactOptional(),
  /** Where it listens. @default 127.0.0.1, and a free port */
  host: text,
  port: number,
  /** How many times as fast as its rates say. @default 1 */
  speed: number,
  /** Tokens of an answer whose length the request leaves open. @default 64 */
  outputTokens: number,
  blockTokens: number,
  cacheBlocks: number,
  maxRunning: number,
  maxWaiting: number,
  maxStepTokens: number,
  prefillTokensPerSecond: number,
  decodeTokensPerSecond: number,
  slowdownPerSequence: number,
  ...shared,
});

export const enginesSchema = z
  .array(
    z.discriminatedUnion('type', [openAi, program, simulated], {
      error: 'an engine of type "openai", "process" or "simulated"',
    }),
  )
  .refine((engines) => new Set(engines.map((each) => each.name)).size === engines.length, {
    error: 'each name once',
  })
  .default([]);

export type EngineConfig = z.output<typeof enginesSchema>[number];

/** An object of numbers, each of which may be left out. */
function numbers<const Name extends string>(...names: readonly Name[]) {
  type Fields = { readonly [Key in Name]: typeof number };
  return z
    .strictObject(Object.fromEntries(names.map((each) => [each, number])) as Fields)
    .exactOptional();
}

const rates = { requestsPerMinute: number, tokensPerMinute: number };

/** How the gateway of the node treats requests for inference. */
export const inferenceSchema = {
  /** Which engine a request goes to. */
  routing: z
    .strictObject({
      /** @default "prefix-affinity" */
      policy: z.enum(POLICY_NAMES, { error: `one of ${POLICY_NAMES.join(', ')}` }).exactOptional(),
      /** Engines of the whole fleet. @default 256 */
      maxEndpoints: number,
      /** In-flight requests over the mean, from which a home counts as full. @default 1.25 */
      loadFactor: number,
      affinity: numbers(
        ...(['minLoadCap', 'inFlightTokens', 'homeTrust'] as const),
        ...(['homeSlackTokens', 'holderSlackTokens'] as const),
      ),
      prefill: numbers('tokensPerMs', 'alpha', 'minSampleTokens', 'halfLifeMs'),
      index: numbers('maxBytes', 'ttlMs'),
      breaker: numbers('failures', 'openMs', 'probes', 'successes'),
      ejection: numbers('consecutive', 'baseMs', 'maxMs', 'maxShare'),
      slowStart: numbers('windowMs', 'minWeight'),
    })
    .exactOptional(),
  /** How often, and when, a request that failed before its first byte is tried again. */
  retries: numbers(
    ...(['tries', 'baseMs', 'multiplier', 'jitter'] as const),
    ...(['budget', 'reservePerSecond', 'maxSaved'] as const),
  ),
  /** Whether a second engine is asked while the first has not begun to answer. */
  hedging: z
    .strictObject({
      /** @default false */
      enabled: z.boolean().exactOptional(),
      quantile: number,
      budget: number,
      maxSaved: number,
      minSamples: number,
      minDelayMs: number,
    })
    .exactOptional(),
  /** How many requests run and wait, and how many each client may send. */
  admission: z
    .strictObject({
      queue: numbers('maxRunning', 'maxWaiting', 'maxWaitMs', 'headStartMs', 'quantumTokens'),
      /** Of all clients together. @default no limits */
      global: z.strictObject(rates).exactOptional(),
      /** Of each client without a key. @default no limits */
      perClient: z.strictObject({ ...rates, concurrency: number }).exactOptional(),
    })
    .exactOptional(),
  /** The header that names a conversation. @default "x-session-id" */
  sessionHeader: z
    .string()
    .regex(/^[A-Za-z0-9-]+$/, { error: 'the name of a header field' })
    .exactOptional(),
  /** Largest body of a request for inference. @default 32 MiB */
  maxInferenceBytes: number,
  /** Proxies (addresses, CIDR) whose `x-forwarded-for` is believed. @default none */
  trustedProxies: z.array(z.string()).exactOptional(),
  /** Origins whose pages may ask; `*` for all. @default none */
  corsOrigins: z.array(z.string()).exactOptional(),
  /** Sends the traces of requests to a collector of OpenTelemetry. @default none */
  tracing: z
    .strictObject({
      /** OTLP over HTTP: `http://HOST:4318/v1/traces`. */
      url: z.url({ protocol: /^https?$/, error: 'an http or https address' }),
      headers: z.record(z.string(), z.string('text')).exactOptional(),
      serviceName: text,
      /** @default 1 */
      sampleRatio: number,
    })
    .exactOptional(),
  /** Writes a line for every request that is over. @default false */
  accessLog: z.boolean().exactOptional(),
};
