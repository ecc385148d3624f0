// The proxied path: takes the requests for inference that the HTTP server hands it, and holds what
// they share: the router, the way to each engine, the queue, keys, budgets and counters.
import { Admission, ClientAddress, clientOfAddress } from '../../admission/index.ts';
import { FlotillaError } from '../../core/index.ts';
import { HedgePolicy, PromptKeyBuilder, RetryPolicy } from '../../routing/index.ts';
import { INFERENCE_DEFAULTS } from '../defaults.ts';
import { errorBody } from '../http-errors.ts';
import { Cors } from './cors.ts';
import { isForEngines, pathOf } from './engine-route.ts';
import { readInference } from './inference-request.ts';
import { ProxiedRequest } from './proxied-request.ts';
import type { AdmissionOptions } from '../../admission/index.ts';
import type { Clock, Logger, Prng } from '../../core/index.ts';
import type { Exchange } from '../../http/index.ts';
import type {
  ChoiceReason,
  Explanation,
  HedgeOptions,
  RetryOptions,
  Router,
  RouterOptions,
} from '../../routing/index.ts';
import type { KeyControl } from '../components.ts';
import type { RequestIds } from '../request-ids.ts';
import type { EngineRoute } from './engine-route.ts';
import type { InferenceMetrics } from './inference-metrics.ts';
import type { Usage } from './usage.ts';
import type { Tracer } from '../tracing/tracer.ts';

export interface InferenceOptions {
  readonly routing?: RouterOptions;
  readonly retries?: RetryOptions;
  readonly hedging?: HedgeOptions;
  readonly admission?: AdmissionOptions;
  /** The header that names a conversation. @default "x-session-id" */
  readonly sessionHeader?: string;
  /** Largest body of a request for inference. @default 32 MiB */
  readonly maxInferenceBytes?: number;
  /** Proxies (CIDR) whose `x-forwarded-for` is believed. @default none */
  readonly trustedProxies?: readonly string[];
  /** Origins whose pages may ask; `*` for all. @default none */
  readonly corsOrigins?: readonly string[];
  /** Writes a line for every request that is over. @default false */
  readonly accessLog?: boolean;
}

/** The way to the endpoints of the router. */
export interface EngineRoutes {
  of(endpoint: string): EngineRoute | undefined;
}

/** Answers a request for embeddings of a model that the fleet trained. */
export type LocalEmbeddings = (fields: unknown) => Promise<object>;

export interface InferenceComponents {
  readonly router: Router;
  readonly routes: EngineRoutes;
  readonly keys: KeyControl | undefined;
  readonly local: LocalEmbeddings | undefined;
  readonly metrics: InferenceMetrics;
  readonly tracer?: Tracer | undefined;
  readonly ids: RequestIds;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly log: Logger;
}

/** A request that is over, for counters and the access log. */
export interface InferenceRecord {
  readonly id: string;
  /** `key:…` or the address that it came from. */
  readonly client: string;
  readonly path: string;
  readonly status: number;
  readonly seconds: number;
  readonly tries: number;
  readonly model: string | undefined;
  readonly endpoint: string | undefined;
  readonly reason: ChoiceReason | undefined;
  readonly waitedMs: number;
  readonly usage: Usage | undefined;
}

/** What is asked of `explain`. */
export interface ExplainRequest {
  readonly model: string;
  readonly session?: string | undefined;
  readonly user?: string | undefined;
  /** As one message of a user. */
  readonly prompt?: string | undefined;
}

/** What every request uses. */
export interface InferenceParts
  extends Pick<
    InferenceComponents,
    'router' | 'routes' | 'keys' | 'local' | 'metrics' | 'clock' | 'log' | 'tracer'
  > {
  readonly admission: Admission;
  readonly retries: RetryPolicy;
  readonly hedges: HedgePolicy;
  readonly addresses: ClientAddress;
  readonly clientOf: (address: string) => string;
  readonly cors: Cors;
  readonly sessionHeader: string;
  /** Absent where the policy looks at no prompt. */
  readonly promptKeys: PromptKeyBuilder | undefined;
  readonly limits: { readonly maxBodyBytes: number };
  /** Called once for each request. */
  readonly onOver: (record: InferenceRecord) => void;
}

export class Inference {
  readonly #parts: InferenceParts;
  readonly #components: InferenceComponents;
  #inFlight = 0;

  /** Errors: `invalid_option`. */
  constructor(components: InferenceComponents, options: InferenceOptions = {}) {
    const { clock, prng, router } = components;
    const { trustedProxies, corsOrigins } = options;
    const { sessionHeader, maxInferenceBytes } = { ...INFERENCE_DEFAULTS, ...options };
    const looksAtPrompts =
      router.policy === 'prefix-affinity' || router.policy === 'consistent-hash';
    this.#components = components;
    this.#parts = {
      ...components,
      admission: new Admission({ clock }, options.admission),
      retries: new RetryPolicy({ prng, nowMs: clock.now() }, options.retries),
      hedges: new HedgePolicy(options.hedging),
      addresses: new ClientAddress(trustedProxies && { trustedProxies }),
      clientOf: clientOfAddress,
      cors: new Cors(corsOrigins),
      sessionHeader: sessionHeader.toLowerCase(),
      promptKeys: looksAtPrompts ? new PromptKeyBuilder() : undefined,
      limits: { maxBodyBytes: maxInferenceBytes },
      onOver: (record) => {
        this.#inFlight--;
        components.metrics.over(record);
        components.log[options.accessLog ? 'info' : 'debug'](record, 'answered');
      },
    };
  }

  /** Requests that are being answered, those that wait for their turn included. */
  get inFlight(): number {
    return this.#inFlight;
  }

  get queue(): Admission['queue'] {
    return this.#parts.admission.queue;
  }

  get cors(): Cors {
    return this.#parts.cors;
  }

  /** Whether a request belongs here. */
  takes(target: string): boolean {
    return isForEngines(target);
  }

  handle(exchange: Exchange): void {
    const id = this.#components.ids.of(exchange.headers.get('x-request-id'));
    if (exchange.method !== 'POST') {
      this.#refuseMethod(exchange, pathOf(exchange.target));
      return;
    }
    this.#inFlight++;
    new ProxiedRequest(this.#parts, exchange, id).start();
  }

  /** Lets nobody wait any more; what runs goes on until the HTTP server cuts it. */
  stop(reason: FlotillaError): void {
    this.queue.stop(reason);
  }

  /** How a request would be routed now, for people. Errors: those of its fields. */
  explain(fields: ExplainRequest): Explanation {
    const { router, clock } = this.#components;
    const { model, session, user, prompt } = fields;
    const { promptKeys } = this.#parts;
    const body = { model, messages: [{ role: 'user', content: prompt }] };
    const key =
      prompt === undefined || promptKeys === undefined
        ? undefined
        : readInference(Buffer.from(JSON.stringify(body)), promptKeys).promptKey;
    const request = {
      model,
      ...(session !== undefined && { session }),
      ...(user !== undefined && { user }),
      ...(key !== undefined && { prompt: key }),
    };
    return router.explain(request, clock.now());
  }

  #refuseMethod(exchange: Exchange, path: string): void {
    const { headers, method } = exchange;
    if (method === 'OPTIONS') {
      const asked = headers.get('access-control-request-headers');
      exchange.respond(204, this.#parts.cors.preflightFor(headers.get('origin'), asked));
      exchange.end();
      return;
    }
    const error = new FlotillaError('method_not_allowed', `${path} answers POST, not ${method}`);
    const body = JSON.stringify(errorBody(error));
    exchange.fail(405, body, ['content-type', 'application/json', 'allow', 'POST']);
  }
}
