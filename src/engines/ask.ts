// A short GET to an engine, within a time and a size: for checks and scrapes, not for requests.
import { FlotillaError, messageOf } from '../core/index.ts';
import type { Clock } from '../core/index.ts';

export interface Question {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly maxBytes: number;
  /** Ends it early. */
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Errors: `engine_unreachable`. Redirects are answers like others: an engine has one address. */
export async function ask(clock: Clock, question: Question): Promise<Answer> {
  const { url, headers, timeoutMs, maxBytes, signal } = question;
  const abort = new AbortController();
  const late = clock.schedule(timeoutMs, () => abort.abort(new Error(`${timeoutMs} ms passed`)));
  const end = () => abort.abort(signal?.reason);
  signal?.addEventListener('abort', end, { once: true });
  try {
    signal?.throwIfAborted();
    const response = await fetch(url, { headers, redirect: 'manual', signal: abort.signal });
    return { status: response.status, text: await textOf(response, maxBytes) };
  } catch (error) {
    const reason = abort.signal.reason ?? (error as { cause?: unknown }).cause ?? error;
    const message = `${url} does not answer: ${messageOf(reason)}`;
    throw new FlotillaError('engine_unreachable', message, { details: { url }, cause: error });
  } finally {
    late.cancel();
    signal?.removeEventListener('abort', end);
  }
}

async function textOf(response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(`its answer is over ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
