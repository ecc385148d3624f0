// The OpenAPI document: every route there is, each described, with what it takes.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ENGINE_PATHS } from '../../src/gateway/proxy/engine-route.ts';
import { ask, withGateway } from './fakes.ts';
import type { KeyControl, MemberControl } from '../../src/gateway/index.ts';

const GATEWAY = path.join(import.meta.dirname, '../../src/gateway');
const METHODS = ['get', 'post', 'put', 'delete', 'patch'];

const keys: KeyControl = {
  areRequired: false,
  authenticate: () => undefined,
  list: () => [],
  create: () => Promise.reject(new Error('not here')),
  revoke: () => Promise.reject(new Error('not here')),
};
const members: MemberControl = { list: () => [], drain: async () => {}, leave: async () => {} };

interface OpenApi {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

interface Operation {
  readonly summary: string;
  readonly parameters?: readonly { name: string; in: string; required: boolean }[];
  // biome-ignore lint/suspicious/noExplicitAny: a JSON Schema
  readonly requestBody?: { content: Record<string, { schema: any }> };
  readonly responses: Readonly<Record<string, object>>;
}

async function withDocument(use: (document: OpenApi, url: string) => Promise<void>): Promise<void> {
  await withGateway({ keys, members }, async ({ url }) => {
    const { status, body } = await ask(`${url}/openapi.json`);
    assert.equal(status, 200);
    await use(body, url);
  });
}

/** What the sources register, found as text: a route nobody described must not get past this. */
function routesInSources(): string[] {
  return readdirSync(GATEWAY)
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => [
      ...readFileSync(path.join(GATEWAY, name), 'utf8').matchAll(
        /\b(?:app|scope)\.(get|post|put|delete|patch)(?:<[^(]*>)?\(\s*'([^']+)'/g,
      ),
    ])
    .map(([, method, pattern]) => `${method} ${pattern!.replaceAll(/:(\w+)/g, '{$1}')}`);
}

test('every route is in the document, and every one is described', async () => {
  await withDocument(async ({ openapi, paths }) => {
    assert.equal(openapi, '3.1.0');
    const documented = Object.entries(paths).flatMap(([pattern, operations]) =>
      Object.keys(operations).map((method) => `${method} ${pattern}`),
    );
    const passedOn = ENGINE_PATHS.map((pattern) => `post ${pattern}`);
    const expected = new Set([...routesInSources(), ...passedOn]);
    assert.ok(expected.size >= 24, `${expected.size} routes were found`);
    assert.deepEqual(documented.toSorted(), [...expected].toSorted());
    for (const [pattern, operations] of Object.entries(paths)) {
      for (const [method, { summary, responses, parameters = [] }] of Object.entries(operations)) {
        assert.ok(METHODS.includes(method));
        assert.ok(summary.length > 0, `${method} ${pattern} is not described`);
        assert.ok('default' in responses);
        const inPath = parameters.filter((parameter) => parameter.in === 'path');
        assert.deepEqual(
          inPath.map(({ name }) => `{${name}}`),
          pattern.match(/\{\w+\}/g) ?? [],
        );
      }
    }
  });
});

test('what routes take comes from the schemas that check it', async () => {
  await withDocument(async ({ paths }) => {
    const neighbors = paths['/v1/neighbors']?.['get']?.parameters ?? [];
    assert.deepEqual(
      neighbors.map(({ name, required }) => [name, required]),
      [
        ['model', false],
        ['word', true],
        ['k', false],
      ],
    );
    const complete = paths['/v1/complete-triple']?.['post']?.requestBody;
    const { schema } = complete!.content['application/json']!;
    assert.deepEqual(schema.required, ['head', 'relation']);
    assert.equal(schema.properties.head.maxLength, 1_024);
    const chat = paths['/v1/chat/completions']?.['post']?.requestBody;
    assert.ok('messages' in chat!.content['application/json']!.schema.properties);
    const train = paths['/v1/train']?.['post'];
    assert.ok('text/tab-separated-values' in train!.requestBody!.content);
    assert.ok('201' in paths['/keys']!['post']!.responses);
  });
});
