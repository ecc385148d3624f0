// OpenAI's routes: embeddings and models, with its requests, answers and numbers of usage.
import { allowsModel } from '../admission/index.ts';
import { FlotillaError } from '../core/index.ts';
import { embeddingsSchema, parseRequest } from './validate.ts';
import type { FastifyInstance } from 'fastify';
import type { GatewayComponents, ModelCatalogue, ModelInfo } from './components.ts';

const MAX_NAMED_WORDS = 10;

/** Answers a request for embeddings from the tables of the fleet. Its body comes parsed. */
export async function embeddingsOf(models: ModelCatalogue, body: unknown): Promise<object> {
  const request = parseRequest(embeddingsSchema, body, 'body');
  const words = typeof request.input === 'string' ? [request.input] : request.input;
  const model = await chooseModel(models, request.model);
  checkDimensions(request.dimensions, model.dim);
  const embedded = await models.embed(model.name, words);
  if (embedded.unknown.length > 0) throw unknownWords(model.name, embedded.unknown);
  const dim = embedded.vectors.length / words.length;
  checkDimensions(request.dimensions, dim);
  const encode = request.encoding_format === 'base64' ? toBase64 : toNumbers;
  const data = words.map((_, index) => ({
    object: 'embedding',
    index,
    embedding: encode(embedded.vectors.subarray(index * dim, (index + 1) * dim)),
  }));
  const usage = { prompt_tokens: words.length, total_tokens: words.length };
  return { object: 'list', data, model: model.name, usage };
}

/** The models that the fleet trained, and those that its engines serve. */
export function registerOpenAiRoutes(app: FastifyInstance, components: GatewayComponents): void {
  const { models, engines, keys } = components;
  const listed = async () => {
    const trained = (await models.list()).map(modelBody);
    const names = new Set(trained.map(({ id }) => id));
    const served = engines.router.models().filter((name) => !names.has(name));
    return [...trained, ...served.map((name) => modelBody({ name, status: 'ready' }))];
  };

  app.get('/v1/models', async ({ headers }) => {
    const key = keys?.authenticate(headers.authorization);
    const data = (await listed()).filter(({ id }) => allowsModel(key, id));
    return { object: 'list', data };
  });

  app.get<{ Params: { id: string } }>('/v1/models/:id', async ({ params, headers }) => {
    keys?.authenticate(headers.authorization);
    const found = (await listed()).find(({ id }) => id === params.id);
    return found ?? modelBody(await chooseModel(models, params.id));
  });
}

/** The model that a request names; the only one there is when it names none. */
export async function chooseModel(models: ModelCatalogue, name?: string): Promise<ModelInfo> {
  const known = await models.list();
  if (name === undefined && known.length > 1) {
    const names = known.map((model) => `"${model.name}"`).join(', ');
    throw new FlotillaError('request_invalid', `model must be one of ${names}, but is missing`, {
      details: { param: 'model' },
    });
  }
  const chosen = name === undefined ? known[0] : known.find((model) => model.name === name);
  if (chosen !== undefined) return chosen;
  const message =
    known.length === 0
      ? 'there is no model yet; train one first'
      : `there is no model "${name}"; GET /v1/models lists those there are`;
  throw new FlotillaError('model_unknown', message, { details: { param: 'model' } });
}

function modelBody({ name, createdMs = 0, ...figures }: ModelInfo) {
  const created = Math.floor(createdMs / 1000);
  return { id: name, object: 'model', created, owned_by: 'flotilla', ...figures };
}

function checkDimensions(asked: number | undefined, actual: number | undefined): void {
  if (asked === undefined || actual === undefined || asked === actual) return;
  const message = `dimensions must be ${actual}, the width of the model, but is ${asked}`;
  throw new FlotillaError('request_invalid', message, { details: { param: 'dimensions' } });
}

function unknownWords(model: string, unknown: readonly string[]): FlotillaError {
  const named = unknown.slice(0, MAX_NAMED_WORDS).map((word) => `"${word}"`);
  const rest = unknown.length - named.length;
  const list = `${named.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
  return new FlotillaError('row_unknown', `model "${model}" does not know ${list}`, {
    details: { param: 'input', ids: unknown.slice(0, MAX_NAMED_WORDS) },
  });
}

function toNumbers(row: Float32Array): number[] {
  return Array.from(row);
}

/** Base64 of the floats' bytes, little-endian whatever this machine is. */
function toBase64(row: Float32Array): string {
  const bytes = Buffer.allocUnsafe(row.length * 4);
  for (const [index, value] of row.entries()) bytes.writeFloatLE(value, index * 4);
  return bytes.toString('base64');
}
