// Asks a node over HTTP what the commands need, and turns each way that can fail into one error
// with a sentence a person can act on.
import { Readable } from 'node:stream';
import { FlotillaError, hasCode, messageOf } from '../core/index.ts';
import { CLIENT } from './defaults.ts';
import type { TrainEvent } from '../training/index.ts';

export interface TrainingUpload {
  /** Query of the route: `name`, `alias` and the trainer's options. */
  readonly query: URLSearchParams;
  /** The graph's lines, gzip. */
  readonly body: Readable;
  readonly signal?: AbortSignal;
}

/** A node's HTTP, seen from the command line. */
export class FleetClient {
  readonly #base: URL;

  /** Errors: `usage_invalid` when `url` is none. */
  constructor(url: string) {
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
      throw new FlotillaError('usage_invalid', `--url must be http://HOST:PORT, but is ${url}`);
    }
    this.#base = new URL(url);
  }

  /** `path` with its query; segments and values must be encoded. */
  async get<T>(path: string): Promise<T> {
    return this.#json(await this.#fetch(path, { signal: AbortSignal.timeout(CLIENT.timeoutMs) }));
  }

  async post<T>(path: string, body: object): Promise<T> {
    const response = await this.#fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(CLIENT.timeoutMs),
    });
    return this.#json(response);
  }

  async delete<T>(path: string): Promise<T> {
    const signal = AbortSignal.timeout(CLIENT.timeoutMs);
    return this.#json(await this.#fetch(path, { method: 'DELETE', signal }));
  }

  /** The events of a training, until its result. Leaving the loop cancels the training. */
  async *train({ query, body, signal }: TrainingUpload): AsyncGenerator<TrainEvent> {
    const init = {
      method: 'POST',
      headers: { 'content-type': 'text/tab-separated-values', 'content-encoding': 'gzip' },
      body: Readable.toWeb(body) as ReadableStream<Uint8Array>,
      duplex: 'half',
      ...(signal && { signal }),
    };
    const response = await this.#fetch(`/v1/train?${query}`, init);
    for await (const line of linesOf(response, signal)) {
      const event = parseJson<TrainEvent | FailureEvent>(line, this.#base);
      if (event.type === 'error') {
        throw new FlotillaError(String(event.error?.code), String(event.error?.message));
      }
      yield event;
      if (event.type === 'result') return;
    }
    const message = 'the node went away before the training had a result';
    throw new FlotillaError('training_interrupted', message);
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(new URL(path, this.#base), init);
    } catch (error) {
      throw this.#connectionError(error, init.signal ?? undefined);
    }
    if (response.ok) return response;
    const { error } = await this.#json<Partial<FailureEvent>>(response);
    if (error === undefined) throw unexpected(this.#base, `status ${response.status}`);
    throw new FlotillaError(String(error.code), String(error.message));
  }

  async #json<T>(response: Response): Promise<T> {
    try {
      return parseJson<T>(await response.text(), this.#base);
    } catch (error) {
      throw hasCode(error) ? error : this.#connectionError(error);
    }
  }

  #connectionError(error: unknown, signal?: AbortSignal): FlotillaError {
    const { origin } = this.#base;
    if (signal?.aborted && hasCode(signal.reason)) return signal.reason;
    if (signal?.aborted) {
      const message = `${origin} did not answer within ${CLIENT.timeoutMs / 1000} s`;
      return new FlotillaError('deadline_exceeded', message, { cause: error });
    }
    const cause = (error as { cause?: { code?: string } }).cause;
    const message =
      cause?.code === 'ECONNREFUSED'
        ? `no fleet answers at ${origin}; start one with "flotilla up" or name another with --url`
        : `cannot reach ${origin}: ${cause?.code ?? messageOf(cause ?? error)}`;
    return new FlotillaError('fleet_unreachable', message, { details: { url: origin }, cause });
  }
}

/** The last line of a training that failed, and the body of every refusal. */
interface FailureEvent {
  readonly type: 'error';
  readonly error?: { readonly code?: string; readonly message?: string };
}

function parseJson<T>(text: string, base: URL): T {
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw unexpected(base, 'not with JSON', error);
  }
}

function unexpected(base: URL, how: string, cause?: unknown): FlotillaError {
  const message = `${base.origin} does not answer as a Flotilla node does: ${how}`;
  return new FlotillaError('answer_unexpected', message, { cause });
}

async function* linesOf(response: Response, signal?: AbortSignal): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for await (const chunk of response.body ?? []) {
      rest += decoder.decode(chunk, { stream: true });
      const lines = rest.split('\n');
      rest = lines.pop() ?? '';
      yield* lines.filter((line) => line !== '');
      if (rest.length <= CLIENT.maxEventCharacters) continue;
      const message = `an event is longer than ${CLIENT.maxEventCharacters} characters`;
      throw new FlotillaError('answer_unexpected', message);
    }
  } catch (error) {
    if (hasCode(error)) throw error;
    if (signal?.aborted) throw signal.reason;
    const message = 'the connection to the node broke before the training had a result';
    throw new FlotillaError('training_interrupted', message, { cause: error });
  }
}
