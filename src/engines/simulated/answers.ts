// The answers of a simulated engine as bytes: OpenAI's bodies for chats and completions, whole or
// as server-sent events, with vLLM's report of what was cached. When a token is there is the
// model's business.
import type { ServerResponse } from 'node:http';

export type AnswerKind = 'chat' | 'completion';

export interface AnswerOptions {
  readonly id: string;
  readonly kind: AnswerKind;
  readonly model: string;
  /** Seconds since 1970. */
  readonly createdS: number;
  readonly stream: boolean;
  /** Whether a stream ends with an event that says the usage. */
  readonly includeUsage: boolean;
  /** The text token by token, and why it ends where it does. */
  readonly tokens: readonly string[];
  readonly finishReason: 'stop' | 'length';
  readonly promptTokens: number;
}

export class AnswerWriter {
  readonly #response: ServerResponse;
  readonly #options: AnswerOptions;

  constructor(response: ServerResponse, options: AnswerOptions) {
    this.#response = response;
    this.#options = options;
  }

  /** Writes what is to be written when token `generated` is there, the first being 1. */
  advance(generated: number, cachedTokens: number): void {
    const { tokens, stream } = this.#options;
    if (stream) this.#event(generated, cachedTokens);
    else if (generated === tokens.length) this.#whole(cachedTokens);
  }

  #whole(cachedTokens: number): void {
    const { kind, tokens, finishReason } = this.#options;
    const text = tokens.join('');
    const content = kind === 'chat' ? { message: { role: 'assistant', content: text } } : { text };
    const choice = { index: 0, ...content, logprobs: null, finish_reason: finishReason };
    const object = kind === 'chat' ? 'chat.completion' : 'text_completion';
    const usage = this.#usage(cachedTokens);
    sendJson(this.#response, { ...this.#head(object), choices: [choice], usage });
  }

  #event(generated: number, cachedTokens: number): void {
    const { kind, tokens, finishReason, includeUsage } = this.#options;
    const object = kind === 'chat' ? 'chat.completion.chunk' : 'text_completion';
    const head = this.#head(object);
    const send = (body: object) => this.#response.write(`data: ${JSON.stringify(body)}\n\n`);
    if (generated === 1) {
      this.#response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    }
    const last = generated === tokens.length;
    const text = tokens[generated - 1] ?? '';
    const role = generated === 1 ? { role: 'assistant' } : {};
    const content = kind === 'chat' ? { delta: { ...role, content: text } } : { text };
    const choice = { index: 0, ...content, logprobs: null };
    send({ ...head, choices: [{ ...choice, finish_reason: last ? finishReason : null }] });
    if (!last) return;
    if (includeUsage) send({ ...head, choices: [], usage: this.#usage(cachedTokens) });
    this.#response.end('data: [DONE]\n\n');
  }

  #head(object: string): object {
    const { id, createdS, model } = this.#options;
    return { id, object, created: createdS, model };
  }

  #usage(cachedTokens: number): object {
    const { promptTokens, tokens } = this.#options;
    return {
      prompt_tokens: promptTokens,
      completion_tokens: tokens.length,
      total_tokens: promptTokens + tokens.length,
      prompt_tokens_details: { cached_tokens: cachedTokens },
    };
  }
}

export function sendJson(response: ServerResponse, body: object, status = 200): void {
  const bytes = Buffer.from(JSON.stringify(body));
  const type = { 'content-type': 'application/json', 'content-length': bytes.length };
  response.writeHead(status, type).end(bytes);
}
