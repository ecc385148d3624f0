// `GET /openapi.json`: what this server answers, for programs. Which routes there are is read from
// those that are registered; what they take comes from the schemas that check it.
import { z } from 'zod';
import { GATEWAY_DEFAULTS } from './defaults.ts';
import { ENGINE_PATHS } from './proxy/engine-route.ts';
import {
  completeSchema,
  drainSchema,
  embeddingsSchema,
  explainSchema,
  inferenceSchema,
  keySchema,
  leaveSchema,
  neighborsSchema,
  routeSchema,
} from './validate.ts';
import type { FastifyInstance } from 'fastify';
import type { RouteTable } from './route-table.ts';

interface Operation {
  readonly summary: string;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  /** Of what is sent. @default application/json */
  readonly takes?: string;
  /** Of the answer. @default application/json */
  readonly gives?: string;
  /** Of the answer, when all is well. @default 200 */
  readonly status?: number;
}

const embeddings = z.union([embeddingsSchema, inferenceSchema]);

/** By method and pattern. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  'POST /v1/chat/completions': {
    summary: 'Chat, passed on to an engine that serves the model',
    body: inferenceSchema,
  },
  'POST /v1/completions': {
    summary: 'Completion of a text, passed on to an engine that serves the model',
    body: inferenceSchema,
  },
  'POST /v1/responses': {
    summary: 'Responses, passed on to an engine that serves the model',
    body: inferenceSchema,
  },
  'POST /v1/embeddings': {
    summary: 'Embeddings: of an engine that serves the model, else of a model trained here',
    body: embeddings,
  },
  'POST /tokenize': { summary: 'Tokens of a text, by an engine', body: inferenceSchema },
  'POST /detokenize': { summary: 'Text of tokens, by an engine', body: inferenceSchema },
  'GET /v1/models': { summary: 'The models that engines serve and that were trained here' },
  'GET /v1/models/:id': { summary: 'One of them' },
  'GET /v1/neighbors': { summary: 'What is nearest to a word', query: neighborsSchema },
  'POST /v1/complete-triple': {
    summary: 'What most likely completes head and relation',
    body: completeSchema,
  },
  'POST /v1/train': {
    summary: 'Trains a model on a graph; the options are those of the trainer',
    query: z.looseObject({ name: z.string(), alias: z.string().optional() }),
    takes: 'text/tab-separated-values',
    gives: 'application/x-ndjson',
  },
  'GET /health': { summary: 'Whether the node lives, and how many nodes it sees' },
  'GET /metrics': { summary: 'Metrics for Prometheus', gives: 'text/plain' },
  'GET /load': { summary: 'The load of every node, as this one knows it' },
  'GET /cluster': { summary: 'Nodes, tables and models' },
  'GET /cluster/route': { summary: 'Which node serves a key, and why', query: routeSchema },
  'GET /cluster/members': { summary: 'Members with what they say of themselves' },
  'GET /cluster/shards': { summary: 'Shards of entities with their owners, by type' },
  'GET /cluster/devices': { summary: 'Devices of all nodes with their figures' },
  'POST /cluster/drain': { summary: 'Sends requests past a node', body: drainSchema },
  'POST /cluster/leave': { summary: 'Has a node leave and stop', body: leaveSchema },
  'GET /engines': { summary: 'The engines of the fleet, with their routing state' },
  'GET /explain': { summary: 'How a request would be routed, and why', query: explainSchema },
  'GET /keys': { summary: 'API keys, without their secrets; for operators' },
  'POST /keys': { summary: 'Makes an API key; for operators', body: keySchema, status: 201 },
  'DELETE /keys/:id': { summary: 'Revokes an API key; for operators' },
  'GET /openapi.json': { summary: 'This document' },
};

const ERROR_SCHEMA = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['message', 'type', 'param', 'code'],
      properties: {
        message: { type: 'string' },
        type: { enum: ['invalid_request_error', 'server_error'] },
        param: { type: ['string', 'null'] },
        code: { type: 'string', description: 'Stable; docs/errors.md lists them.' },
      },
    },
  },
};

export function registerOpenApiRoute(app: FastifyInstance, routes: RouteTable): void {
  let document: object | undefined;
  app.get('/openapi.json', async () => {
    document ??= documentOf(routes);
    return document;
  });
}

function documentOf(routes: RouteTable): object {
  const registered = routes.all().filter(({ method }) => method !== 'HEAD');
  const engines = ENGINE_PATHS.map((pattern) => ({ method: 'POST', pattern }));
  const paths: Record<string, Record<string, object>> = {};
  for (const { method, pattern } of [...engines, ...registered]) {
    const path = pattern.replaceAll(/:(\w+)/g, '{$1}');
    paths[path] ??= {};
    paths[path][method.toLowerCase()] = operationOf(`${method} ${pattern}`);
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Flotilla', version: GATEWAY_DEFAULTS.apiVersion },
    paths,
    components: {
      schemas: { Error: ERROR_SCHEMA },
      securitySchemes: { key: { type: 'http', scheme: 'bearer' } },
    },
    // Without a key where the fleet has none.
    security: [{ key: [] }, {}],
  };
}

function operationOf(name: string): object {
  const { summary, query, body, takes, gives, status } = {
    ...{ takes: 'application/json', gives: 'application/json', status: 200 },
    ...(OPERATIONS[name] ?? { summary: '', query: undefined, body: undefined }),
  } as Operation & { takes: string; gives: string; status: number };
  const inPath = [...name.matchAll(/:(\w+)/g)].map(([, parameter]) => ({
    ...{ name: parameter, in: 'path', required: true, schema: { type: 'string' } },
  }));
  const parameters = [...inPath, ...(query === undefined ? [] : parametersOf(query))];
  const schema = body === undefined ? { type: 'string' } : schemaOf(body);
  const isSent = body !== undefined || takes !== 'application/json';
  const error = { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } };
  return {
    summary,
    ...(parameters.length > 0 && { parameters }),
    ...(isSent && { requestBody: { required: true, content: { [takes]: { schema } } } }),
    responses: {
      [status]: { description: 'Done', content: { [gives]: {} } },
      default: { description: 'Refused or failed', content: error },
    },
  };
}

function parametersOf(query: z.ZodType): object[] {
  const { properties = {}, required = [] } = schemaOf(query);
  return Object.entries(properties).map(([name, schema]) => ({
    ...{ name, in: 'query', required: required.includes(name), schema },
  }));
}

function schemaOf(schema: z.ZodType) {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io: 'input' });
  return json;
}
