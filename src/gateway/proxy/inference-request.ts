// What the gateway reads of a request for inference: the model, whether the answer streams, how
// many tokens it may take, and what names its conversation. The rest is the engine's business, and
// the body travels on as it came, except for a model that the engine knows under another name.
import { FlotillaError, messageOf } from '../../core/index.ts';
import { INFERENCE_DEFAULTS } from '../defaults.ts';
import type { PromptKey, PromptKeyBuilder, RouteRequest } from '../../routing/index.ts';

export interface InferenceRequest {
  /** Undefined when the request names none. */
  readonly model: string | undefined;
  readonly isStreamed: boolean;
  readonly user: string | undefined;
  readonly priority: number | undefined;
  readonly promptKey: PromptKey | undefined;
  /** Estimate of what it will take: prompt and answer. */
  readonly tokens: number;
  /** The parsed body. */
  readonly fields: Readonly<Record<string, unknown>>;
}

const SHOWN_CHARACTERS = 60;
const { charsPerToken, answerTokens, maxAnswerTokens } = INFERENCE_DEFAULTS;

/**
 * Errors: `body_malformed`, `request_invalid`.
 * @param builder absent when no key of the prompt is wanted
 */
export function readInference(
  body: Buffer,
  builder: PromptKeyBuilder | undefined,
): InferenceRequest {
  const fields = parseObject(body);
  const { model, stream, user, priority } = fields;
  if (model !== undefined && (typeof model !== 'string' || model === '')) {
    throw invalid('model', 'the name of a model; GET /v1/models lists them');
  }
  if (stream !== undefined && stream !== null && typeof stream !== 'boolean') {
    throw invalid('stream', 'true or false');
  }
  const promptKey = builder && keyOf(builder, model ?? '', fields);
  const promptTokens = promptKey?.tokens ?? Math.ceil(body.length / charsPerToken);
  return {
    model,
    isStreamed: stream === true,
    user: typeof user === 'string' && user !== '' ? user : undefined,
    priority: typeof priority === 'number' ? priority : undefined,
    promptKey,
    tokens: promptTokens + answerTokensOf(fields),
    fields,
  };
}

/** What of it the router looks at. */
export function routeRequestOf(
  { user, promptKey, isStreamed }: InferenceRequest,
  model: string,
  session: string | undefined,
): RouteRequest {
  const request: { -readonly [Field in keyof RouteRequest]: RouteRequest[Field] } = {
    model,
    streamed: isStreamed,
  };
  if (session !== undefined) request.session = session;
  if (user !== undefined) request.user = user;
  if (promptKey !== undefined) request.prompt = promptKey;
  return request;
}

/** The body for an engine that calls the model by another name. */
export function bodyNaming(request: InferenceRequest, model: string): Buffer {
  return Buffer.from(jsonOf({ ...request.fields, model }));
}

function parseObject(body: Buffer): Record<string, unknown> {
  if (body.length === 0) throw notAnObject('missing');
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString('utf8'));
  } catch (error) {
    const message = `the body is not valid JSON: ${messageOf(error)}`;
    throw new FlotillaError('body_malformed', message, { cause: error });
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) {
    return parsed as Record<string, unknown>;
  }
  throw notAnObject(jsonOf(parsed).slice(0, SHOWN_CHARACTERS));
}

/** What was parsed, as text again: that fails for what is nested so deep that nobody means it. */
function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'null';
  } catch (cause) {
    throw new FlotillaError('request_invalid', 'the body is nested too deep', { cause });
  }
}

function notAnObject(what: string): FlotillaError {
  return new FlotillaError('request_invalid', `the body must be a JSON object, but is ${what}`);
}

function answerTokensOf(fields: Readonly<Record<string, unknown>>): number {
  const asked =
    fields['max_completion_tokens'] ?? fields['max_tokens'] ?? fields['max_output_tokens'];
  if (typeof asked !== 'number' || !(asked >= 0)) return answerTokens;
  return Math.min(asked, maxAnswerTokens);
}

function keyOf(
  builder: PromptKeyBuilder,
  model: string,
  fields: Readonly<Record<string, unknown>>,
): PromptKey | undefined {
  const { messages, prompt, input, instructions, tools } = fields;
  builder.begin(model);
  // Templates put tools before the conversation, so caches see them first.
  if (Array.isArray(tools) && tools.length > 0) builder.message('tools', jsonOf(tools));
  if (typeof instructions === 'string') builder.message('system', instructions);
  if (Array.isArray(messages)) addMessages(builder, messages);
  else if (typeof prompt === 'string') builder.text(prompt);
  else if (typeof input === 'string') builder.text(input);
  else if (Array.isArray(input) && input.some((item) => typeof item === 'object')) {
    addMessages(builder, input);
  } else return undefined;
  return builder.finish();
}

function addMessages(builder: PromptKeyBuilder, messages: readonly unknown[]): void {
  for (const message of messages) {
    if (typeof message !== 'object' || message === null) continue;
    const { role, content, tool_calls: calls } = message as Readonly<Record<string, unknown>>;
    builder.message(
      typeof role === 'string' ? role : '',
      typeof content === 'string' ? content : '',
    );
    if (Array.isArray(content)) for (const part of content) builder.text(textOf(part));
    if (Array.isArray(calls)) builder.text(jsonOf(calls));
  }
}

function textOf(part: unknown): string {
  const { text } = (part ?? {}) as { text?: unknown };
  return typeof text === 'string' ? text : jsonOf(part);
}

function invalid(param: string, rule: string): FlotillaError {
  return new FlotillaError('request_invalid', `${param} must be ${rule}`, { details: { param } });
}
