// The shapes of requests, and the one message that a request outside its shape gets: which field,
// what rule, what it was.
import { z } from 'zod';
import { KEY_LIMITS } from '../admission/index.ts';
import { FlotillaError } from '../core/index.ts';
import { GATEWAY_DEFAULTS } from './defaults.ts';

const SHOWN_CHARACTERS = 60;

const { k, maxInputs, maxK, maxWordCharacters } = GATEWAY_DEFAULTS;
const wordRule = `a non-empty string of at most ${maxWordCharacters} characters`;
const word = z.string(wordRule).min(1, wordRule).max(maxWordCharacters, wordRule);
const inputsRule = `a non-empty string or an array of 1 to ${maxInputs} non-empty strings`;
const model = word.optional();
const kRule = `a whole number from 1 to ${maxK}`;
const count = z.int(kRule).min(1, kRule).max(maxK, kRule);
/** Query strings carry text; an empty or odd one must not turn into 0. */
const countText = z
  .string(kRule)
  .regex(/^\d{1,9}$/, kRule)
  .transform(Number)
  .pipe(count);

export const embeddingsSchema = z.object(
  {
    model,
    input: z.union([word, z.array(word).min(1).max(maxInputs)], inputsRule),
    encoding_format: z.enum(['float', 'base64'], '"float" or "base64"').default('float'),
    dimensions: z.int('a whole number').optional(),
  },
  'a JSON object',
);

/**
 * What the gateway itself reads of a request that it passes on. It is checked by hand on the
 * proxied path, where a schema would cost more than the rest.
 */
export const inferenceSchema = z.looseObject({
  model: z.string().min(1).optional(),
  stream: z.boolean().nullish(),
  user: z.string().optional(),
  priority: z.number().optional(),
  max_tokens: z.number().optional(),
  max_completion_tokens: z.number().optional(),
  max_output_tokens: z.number().optional(),
  messages: z.array(z.looseObject({ role: z.string() })).optional(),
  prompt: z.unknown().optional(),
  input: z.unknown().optional(),
  instructions: z.string().optional(),
  tools: z.array(z.unknown()).optional(),
});

export const completeSchema = z.strictObject(
  { model, head: word, relation: word, k: count.default(k) },
  'a JSON object with head, relation and optionally model and k',
);

export const neighborsSchema = z.strictObject({ model, word, k: countText.default(k) });

export const routeSchema = z.strictObject({ key: word });

export const explainSchema = z.strictObject({
  model: word,
  session: word.optional(),
  user: word.optional(),
  prompt: z.string().optional(),
});

export const drainSchema = z.strictObject(
  { node: word, cancel: z.boolean('true or false').default(false) },
  'a JSON object with node and optionally cancel',
);

export const leaveSchema = z.strictObject(
  { node: word.optional() },
  'a JSON object with optionally node',
);

const limitRule = `a whole number from 1 to ${KEY_LIMITS.maxLimit}`;
const limit = z.int(limitRule).min(1, limitRule).max(KEY_LIMITS.maxLimit, limitRule).optional();

/** What a name and a model may be is for who makes the key. */
export const keySchema = z.strictObject(
  {
    name: z.string('a string'),
    models: z.array(z.string('a string'), 'an array of strings').optional(),
    requestsPerMinute: limit,
    tokensPerMinute: limit,
    concurrency: limit,
  },
  'a JSON object with name and optionally models, requestsPerMinute, tokensPerMinute, concurrency',
);

/** The checked value; raises `request_invalid` for the first field that breaks its rule. */
export function parseRequest<T>(schema: z.ZodType<T>, input: unknown, part: 'body' | 'query'): T {
  const { success, data, error } = schema.safeParse(input);
  if (success) return data;
  const [issue] = error.issues;
  const path = issue?.path ?? [];
  const field = path.length === 0 ? `the ${part}` : path.join('.');
  const message =
    issue?.code === 'unrecognized_keys'
      ? `${part} has an unknown field ${issue.keys.map((key) => `"${key}"`).join(', ')}`
      : `${field} must be ${issue?.message}, but is ${shown(valueAt(input, path))}`;
  throw new FlotillaError('request_invalid', message, {
    details: path.length === 0 ? {} : { param: path.join('.') },
  });
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
  return value;
}

function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}
