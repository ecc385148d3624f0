// Spans as OTLP wants them over HTTP, in JSON (OpenTelemetry Protocol 1.x, trace/v1/trace.proto):
// 64-bit numbers are text, ids are hexadecimal.
import type { Attribute, Span, SpanKind } from './span.ts';

const KINDS: Readonly<Record<SpanKind, number>> = { server: 2, client: 3 };
const STATUS_ERROR = 2;

/** @param offsetMs what makes wall time of the clock's milliseconds */
export function tracesBody(
  spans: readonly Span[],
  resource: Readonly<Record<string, string>>,
  offsetMs: number,
): Buffer {
  const scope = { name: 'flotilla' };
  const written = spans.map((span) => spanBody(span, offsetMs));
  const scopeSpans = [{ scope, spans: written }];
  const resourceSpans = [{ resource: { attributes: attributesBody(resource) }, scopeSpans }];
  return Buffer.from(JSON.stringify({ resourceSpans }));
}

function spanBody(span: Span, offsetMs: number): object {
  const { traceId, spanId, parentId, name, kind, startMs, endMs, attributes, events } = span;
  return {
    traceId,
    spanId,
    ...(parentId !== undefined && { parentSpanId: parentId }),
    name,
    kind: KINDS[kind],
    startTimeUnixNano: nanos(startMs + offsetMs),
    endTimeUnixNano: nanos(endMs + offsetMs),
    attributes: attributesBody(attributes),
    events: events.map((event) => ({
      name: event.name,
      timeUnixNano: nanos(event.atMs + offsetMs),
    })),
    ...(span.problem !== undefined && { status: { code: STATUS_ERROR, message: span.problem } }),
  };
}

function attributesBody(attributes: Readonly<Record<string, Attribute>>): object[] {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: valueBody(value) }));
}

function valueBody(value: Attribute): object {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}

/** A double has no room for nanoseconds since 1970: whole milliseconds, then the rest. */
function nanos(ms: number): string {
  const whole = Math.floor(ms);
  return `${whole}${String(Math.floor((ms - whole) * 1_000_000)).padStart(6, '0')}`;
}
