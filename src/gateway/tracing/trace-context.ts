// W3C Trace Context: what a `traceparent` header says, and how it is written.

export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** Of the span that the next one is a child of: 16 hexadecimal digits. */
  readonly spanId: string;
  /** Whoever began the trace keeps it. */
  readonly isSampled: boolean;
}

const PATTERN = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const SAMPLED = 1;

/** Undefined for a header that is missing or breaks a rule (section 3.2.2). */
export function readTraceparent(header: string | undefined): TraceContext | undefined {
  if (header === undefined) return undefined;
  const [, version, traceId, spanId, flags, more] = PATTERN.exec(header) ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) {
    return undefined;
  }
  if (/^0+$/.test(traceId!) || /^0+$/.test(spanId!)) return undefined;
  const isSampled = (Number.parseInt(flags!, 16) & SAMPLED) === SAMPLED;
  return { traceId: traceId!, spanId: spanId!, isSampled };
}

export function traceparentOf({ traceId, spanId, isSampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`;
}
