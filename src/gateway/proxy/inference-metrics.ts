// Prometheus metrics of the proxied path, with the names that dashboards of inference servers use:
// requests by model, status and endpoint, time to the first token, tokens and those from a cache,
// retries, hedges, and how many requests run and wait.
import { Counter, Gauge, Histogram } from 'prom-client';
import { DURATION_BUCKETS_S, TTFT_BUCKETS_S } from '../defaults.ts';
import type { Registry } from 'prom-client';
import type { InferenceRecord } from './inference.ts';

type SumsKey = Pick<InferenceRecord, 'path' | 'endpoint' | 'reason' | 'status'> & {
  readonly model: string;
};

/** Counted here and told when somebody asks: a look-up of prom-client's costs more than the sum. */
interface Sums {
  readonly labels: Readonly<Record<'path' | 'model' | 'endpoint' | 'reason' | 'status', string>>;
  requests: number;
  tokens: { prompt: number; cached: number; generated: number } | undefined;
}

export class InferenceMetrics {
  /** By labels in a row. */
  readonly #sums = new Map<string, Sums>();
  readonly #durations: Histogram;
  readonly #firstTokens: Histogram;
  readonly #retries: Counter;
  readonly #hedges: Counter;

  constructor(
    registry: Registry,
    read: { readonly inFlight: () => number; readonly queued: () => number },
  ) {
    const registers = [registry];
    const sums = this.#sums;
    new Counter({
      name: 'flotilla_inference_requests_total',
      help: 'Requests for inference that are over.',
      labelNames: ['path', 'model', 'endpoint', 'reason', 'status'],
      registers,
      collect() {
        this.reset();
        for (const { labels, requests } of sums.values()) this.inc(labels, requests);
      },
    });
    this.#durations = new Histogram({
      name: 'flotilla_inference_duration_seconds',
      help: 'Time from a request for inference to the end of its answer.',
      labelNames: ['path'],
      buckets: [...DURATION_BUCKETS_S],
      registers,
    });
    this.#firstTokens = new Histogram({
      name: 'flotilla_time_to_first_token_seconds',
      help: 'Time from a streamed request to the first data of its answer.',
      buckets: [...TTFT_BUCKETS_S],
      registers,
    });
    new Counter({
      name: 'flotilla_tokens_total',
      help: 'Tokens that engines reported: prompt, those of them from a cache, and generated.',
      labelNames: ['model', 'kind'],
      registers,
      collect() {
        this.reset();
        for (const { labels, tokens } of sums.values()) {
          if (tokens === undefined) continue;
          for (const [kind, count] of Object.entries(tokens)) {
            this.inc({ model: labels.model, kind }, count);
          }
        }
      },
    });
    this.#retries = new Counter({
      name: 'flotilla_retries_total',
      help: 'Tries after the first one, by what the one before ended with.',
      labelNames: ['cause'],
      registers,
    });
    this.#hedges = new Counter({
      name: 'flotilla_hedges_total',
      help: 'Second endpoints asked because the first one was slow.',
      registers,
    });
    addGauge(registry, {
      name: 'flotilla_inference_in_flight',
      help: 'Requests for inference that are not over, those that wait included.',
      read: read.inFlight,
    });
    addGauge(registry, {
      name: 'flotilla_inference_queued',
      help: 'Requests for inference that wait for a turn.',
      read: read.queued,
    });
  }

  over({ path, model, endpoint, reason, status, seconds, usage }: InferenceRecord): void {
    // A model that no engine has is what anybody may write: it must not become a series.
    const known = endpoint === undefined ? '' : (model ?? '');
    this.#durations.observe({ path }, seconds);
    const sums = this.#sumsOf({ path, model: known, endpoint, reason, status });
    sums.requests++;
    if (usage?.promptTokens === undefined) return;
    const { promptTokens, cachedTokens = 0, totalTokens = promptTokens } = usage;
    sums.tokens ??= { prompt: 0, cached: 0, generated: 0 };
    sums.tokens.prompt += promptTokens;
    sums.tokens.cached += cachedTokens;
    sums.tokens.generated += Math.max(0, totalTokens - promptTokens);
  }

  /** The key is made for each request, its labels but once. */
  #sumsOf({ path, model, endpoint, reason, status }: SumsKey): Sums {
    const key = `${status} ${reason} ${endpoint} ${path} ${model}`;
    let sums = this.#sums.get(key);
    if (sums === undefined) {
      const choice = { endpoint: endpoint ?? '', reason: reason ?? '' };
      const labels = { path, model, ...choice, status: String(status) };
      sums = { labels, requests: 0, tokens: undefined };
      this.#sums.set(key, sums);
    }
    return sums;
  }

  firstToken(seconds: number): void {
    this.#firstTokens.observe(seconds);
  }

  retried(status: number | undefined): void {
    this.#retries.inc({ cause: status === undefined ? 'connection' : String(status) });
  }

  hedged(): void {
    this.#hedges.inc();
  }
}

function addGauge(
  registry: Registry,
  {
    name,
    help,
    read,
  }: { readonly name: string; readonly help: string; readonly read: () => number },
): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}
