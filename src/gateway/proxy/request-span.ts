// What the span of a request says when it is over: the names are OpenTelemetry's for HTTP and for
// generative models where it has any.
import type { Span } from '../tracing/span.ts';
import type { InferenceRecord } from './inference.ts';

export function endRequestSpan(span: Span | undefined, record: InferenceRecord): void {
  if (span === undefined) return;
  const { id, client, path, status, model, endpoint, reason, tries, waitedMs, usage } = record;
  const { promptTokens, cachedTokens, totalTokens } = usage ?? {};
  const outputTokens = totalTokens !== undefined && totalTokens - (promptTokens ?? 0);
  span.set({
    'http.request.method': 'POST',
    'url.path': path,
    'http.response.status_code': status,
    'client.address': client,
    'gen_ai.request.model': model,
    'gen_ai.usage.input_tokens': promptTokens,
    'gen_ai.usage.output_tokens': outputTokens === false ? undefined : outputTokens,
    'flotilla.usage.cached_tokens': cachedTokens,
    'flotilla.request_id': id,
    'flotilla.endpoint': endpoint,
    'flotilla.reason': reason,
    'flotilla.tries': tries,
    'flotilla.waited_ms': waitedMs,
  });
  if (status >= 500) span.fail(`status ${status}`);
  span.end();
}
