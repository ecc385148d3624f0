// One timed step of a traced request. It is written down when it ends; until then it belongs to
// whoever opened it.
import { traceparentOf } from './trace-context.ts';
import type { TraceContext } from './trace-context.ts';

export type SpanKind = 'server' | 'client';
export type Attribute = string | number | boolean;

/** What a span asks of its tracer. */
export interface SpanHost {
  /** Monotonic milliseconds. */
  now(): number;
  newSpanId(): string;
  ended(span: Span): void;
}

export interface SpanEvent {
  readonly name: string;
  readonly atMs: number;
}

export class Span implements TraceContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly isSampled = true;
  readonly parentId: string | undefined;
  readonly name: string;
  readonly kind: SpanKind;
  readonly startMs: number;
  readonly attributes: Record<string, Attribute> = {};
  readonly events: SpanEvent[] = [];
  readonly #host: SpanHost;
  #endMs: number | undefined;
  #problem: string | undefined;

  constructor(
    host: SpanHost,
    parent: Omit<TraceContext, 'spanId' | 'isSampled'> & { readonly spanId: string | undefined },
    { name, kind }: { readonly name: string; readonly kind: SpanKind },
  ) {
    this.#host = host;
    this.traceId = parent.traceId;
    this.parentId = parent.spanId;
    this.spanId = host.newSpanId();
    this.name = name;
    this.kind = kind;
    this.startMs = host.now();
  }

  get endMs(): number {
    return this.#endMs ?? this.startMs;
  }

  /** Why it failed; undefined when it did not. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** What the next program is told. */
  get traceparent(): string {
    return traceparentOf(this);
  }

  child(name: string, kind: SpanKind): Span {
    return new Span(this.#host, this, { name, kind });
  }

  /** Leaves out what is undefined. */
  set(attributes: Readonly<Record<string, Attribute | undefined>>): void {
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== undefined) this.attributes[name] = value;
    }
  }

  event(name: string): void {
    this.events.push({ name, atMs: this.#host.now() });
  }

  fail(problem: string): void {
    this.#problem = problem;
  }

  /** Once; further calls do nothing. */
  end(): void {
    if (this.#endMs !== undefined) return;
    this.#endMs = this.#host.now();
    this.#host.ended(this);
  }
}
