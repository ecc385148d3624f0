// Traces of requests for inference: begins their spans, and sends those that have ended to a
// collector of OpenTelemetry, over OTLP/HTTP in JSON. What waits is bounded, and what finds no room
// or no collector is dropped and counted: a request never waits for its trace.
//
// OpenTelemetry's own packages are not used: they bring 27 MB and their own clock, timers and
// chance, for what are two hundred lines here.
import { invalidOption } from '../../core/index.ts';
import { HeaderBlock, HttpClient } from '../../http/index.ts';
import { TRACING_DEFAULTS } from '../defaults.ts';
import { tracesBody } from './otlp.ts';
import { Span } from './span.ts';
import { readTraceparent } from './trace-context.ts';
import type { Clock, Logger, Prng, Timer } from '../../core/index.ts';
import type { SpanHost } from './span.ts';

export interface TracingOptions {
  /** Of the collector: `http://HOST:4318/v1/traces`. */
  readonly url: string;
  /** Further fields of its requests, such as credentials. @default none */
  readonly headers?: Readonly<Record<string, string>>;
  /** What the collector files the spans under. @default "flotilla" */
  readonly serviceName?: string;
  /** Share of the requests without a trace of their own that get one. @default 1 */
  readonly sampleRatio?: number;
}

export interface TracerComponents {
  /** The name of this node. */
  readonly node: string;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly log: Logger;
}

/** Spans by what became of them. */
export interface TracingCounters {
  readonly sent: number;
  readonly dropped: number;
}

export class Tracer implements SpanHost {
  readonly #clock: Clock;
  readonly #prng: Prng;
  readonly #log: Logger;
  readonly #client: HttpClient;
  readonly #url: URL;
  readonly #headers: HeaderBlock;
  readonly #resource: Readonly<Record<string, string>>;
  readonly #sampleRatio: number;
  #waiting: Span[] = [];
  #timer: Timer | undefined;
  #sending: Promise<void> | undefined;
  #isFailing = false;
  #isStopped = false;
  #sent = 0;
  #dropped = 0;

  /** Errors: `invalid_option`, `http_header_invalid`. */
  constructor({ node, clock, prng, log }: TracerComponents, options: TracingOptions) {
    const { url, headers, serviceName, sampleRatio } = { ...TRACING_DEFAULTS, ...options };
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
      throw invalidOption('tracing.url', 'http://HOST:4318/v1/traces', url);
    }
    if (!(sampleRatio >= 0 && sampleRatio <= 1)) {
      throw invalidOption('tracing.sampleRatio', '0 to 1', sampleRatio);
    }
    this.#clock = clock;
    this.#prng = prng;
    this.#log = log;
    this.#url = new URL(url);
    this.#headers = HeaderBlock.from([
      ...['content-type', 'application/json'],
      ...Object.entries(headers).flat(),
    ]);
    this.#resource = { 'service.name': serviceName, 'service.instance.id': node };
    this.#sampleRatio = sampleRatio;
    const { timeoutMs } = TRACING_DEFAULTS;
    const times = { headTimeoutMs: timeoutMs, bodyTimeoutMs: timeoutMs };
    this.#client = new HttpClient({ clock }, { ...times, connectTimeoutMs: timeoutMs });
  }

  get counters(): TracingCounters {
    return { sent: this.#sent, dropped: this.#dropped };
  }

  /**
   * The first span of a request here, as a child of what its `traceparent` names. Undefined for one
   * that is not to be traced.
   */
  begin(traceparent: string | undefined, name: string): Span | undefined {
    const parent = readTraceparent(traceparent);
    if (parent === undefined) {
      if (this.#sampleRatio < 1 && this.#prng.next() >= this.#sampleRatio) return undefined;
      const root = { traceId: this.#hex(4), spanId: undefined };
      return new Span(this, root, { name, kind: 'server' });
    }
    return parent.isSampled ? new Span(this, parent, { name, kind: 'server' }) : undefined;
  }

  now(): number {
    return this.#clock.now();
  }

  newSpanId(): string {
    return this.#hex(2);
  }

  ended(span: Span): void {
    if (this.#isStopped || this.#waiting.length >= TRACING_DEFAULTS.maxWaiting) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(span);
    this.#timer ??= this.#clock.schedule(TRACING_DEFAULTS.intervalMs, () => {
      this.#timer = undefined;
      void this.#sendAll();
    });
  }

  /** Sends what waits, as far as the collector takes it in its time. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    await this.#sendAll();
    this.#isStopped = true;
    this.#client.close();
  }

  /** One request at a time, so that a slow collector makes spans wait, and then drop. */
  #sendAll(): Promise<void> {
    this.#sending ??= this.#sendBatches().finally(() => {
      this.#sending = undefined;
    });
    return this.#sending;
  }

  async #sendBatches(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, TRACING_DEFAULTS.batch);
      const problem = await this.#send(batch);
      if (problem === undefined) this.#sent += batch.length;
      else this.#dropped += batch.length;
      if (problem !== undefined && !this.#isFailing) {
        this.#log.warn({ url: this.#url.href, problem }, 'the collector does not take spans');
      }
      this.#isFailing = problem !== undefined;
    }
  }

  /** Resolves with what went wrong. */
  #send(batch: readonly Span[]): Promise<string | undefined> {
    const offsetMs = this.#clock.wallTime() - this.#clock.now();
    const { origin, pathname, search } = this.#url;
    const body = tracesBody(batch, this.#resource, offsetMs);
    return new Promise((resolve) => {
      let problem: string | undefined;
      this.#client.request(
        { origin, method: 'POST', path: pathname + search, headers: this.#headers, body },
        {
          onHead: (status) => {
            if (status >= 300) problem = `status ${status}`;
          },
          onData: () => true,
          onEnd: () => resolve(problem),
          onError: (error) => resolve(error.message),
        },
      );
    });
  }

  /** Random hexadecimal digits, 8 for each word; never all zeros, which names nothing. */
  #hex(words: number): string {
    let digits = '';
    for (let word = 0; word < words; word++) {
      const value = this.#prng.uint32();
      digits += (word === 0 && value === 0 ? 1 : value).toString(16).padStart(8, '0');
    }
    return digits;
  }
}
