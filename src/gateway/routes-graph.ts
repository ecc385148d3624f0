// What a graph's embeddings are asked for beyond OpenAI's routes: neighbours and missing tails.
import { completeSchema, neighborsSchema, parseRequest } from './validate.ts';
import { chooseModel } from './routes-openai.ts';
import type { FastifyInstance } from 'fastify';
import type { GatewayComponents } from './components.ts';

export function registerGraphRoutes(app: FastifyInstance, { models }: GatewayComponents): void {
  app.get('/v1/neighbors', async ({ query }) => {
    const { model, word, k } = parseRequest(neighborsSchema, query, 'query');
    const { name } = await chooseModel(models, model);
    const neighbors = await models.neighbors(name, word, k);
    return { model: name, word, neighbors };
  });

  app.post('/v1/complete-triple', async ({ body }) => {
    const { model, head, relation, k } = parseRequest(completeSchema, body, 'body');
    const { name } = await chooseModel(models, model);
    const completions = await models.complete(name, head, relation, k);
    return { model: name, head, relation, completions };
  });
}
