// What a simulated engine is asked: OpenAI's requests for completions, read and checked where they
// arrive. Fields that change nothing here, such as temperature, pass unread: clients send many.
import { z } from 'zod';
import { messageOf } from '../../core/index.ts';
import { SIMULATED_DEFAULTS } from '../defaults.ts';
import { refusal } from '../errors.ts';
import { chatPrompt } from './text.ts';
import type { IncomingMessage } from 'node:http';
import type { AnswerKind } from './answers.ts';

/** A request for a completion after its check. */
export interface CompletionRequest {
  readonly kind: AnswerKind;
  /** The text that the answer continues. */
  readonly prompt: string;
  readonly model: string | undefined;
  readonly maxTokens: number | undefined;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

const countRule = 'a whole number from 1';
const count = z.int(countRule).min(1, countRule);
const part = z.object({ type: z.literal('text'), text: z.string() });
const content = z.union(
  [z.string(), z.array(part).transform((parts) => parts.map(({ text }) => text).join(''))],
  'a string or an array of text parts',
);
const message = z.object({ role: z.string('a string'), content }, 'an object');
const messagesRule = 'an array of at least one message';
const messages = z.array(message, messagesRule).min(1, messagesRule);
const prompt = z.string('a string').min(1, 'a string that is not empty');

const common = {
  model: z.string('a string').optional(),
  stream: z.boolean('true or false').nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }, 'an object').nullish(),
  max_tokens: count.nullish(),
};

const chatSchema = z.object(
  { ...common, messages, max_completion_tokens: count.nullish() },
  'a JSON object',
);
const completionSchema = z.object({ ...common, prompt }, 'a JSON object');
const tokenizeSchema = z.union(
  [z.object({ prompt }), z.object({ messages })],
  'a JSON object with prompt or messages',
);

export function readChat(body: unknown): CompletionRequest {
  const request = checked(chatSchema, body);
  const maxTokens = request.max_completion_tokens ?? request.max_tokens ?? undefined;
  return { ...shared(request), kind: 'chat', prompt: chatPrompt(request.messages), maxTokens };
}

export function readCompletion(body: unknown): CompletionRequest {
  const request = checked(completionSchema, body);
  const maxTokens = request.max_tokens ?? undefined;
  return { ...shared(request), kind: 'completion', prompt: request.prompt, maxTokens };
}

/** The text whose tokens are asked for. */
export function readTokenize(body: unknown): string {
  const request = checked(tokenizeSchema, body);
  return 'prompt' in request ? request.prompt : chatPrompt(request.messages);
}

function shared(request: z.infer<z.ZodObject<typeof common>>) {
  return {
    model: request.model,
    stream: request.stream ?? false,
    includeUsage: request.stream_options?.include_usage ?? false,
  };
}

function checked<T>(schema: z.ZodType<T>, body: unknown): T {
  const { success, data, error } = schema.safeParse(body);
  if (success) return data;
  const [issue] = error.issues;
  const param = issue?.path.join('.') || 'body';
  throw refusal(400, 'BadRequestError', { message: `${param} must be ${issue?.message}`, param });
}

/** The JSON of a body. Errors: `engine_refused`. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const limit = SIMULATED_DEFAULTS.maxBodyBytes;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > limit) {
      const message = `the body is over the limit of ${limit} bytes`;
      throw refusal(413, 'BadRequestError', { message });
    }
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch (error) {
    const message = `the body is not valid JSON: ${messageOf(error)}`;
    throw refusal(400, 'BadRequestError', { message });
  }
}
