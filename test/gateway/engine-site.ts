// A gateway in front of engines that a test writes itself: small HTTP servers that answer, fail,
// hang or break off as they are told, so that every fault is one on a real socket.
import http from 'node:http';
import { createPrng, systemClock } from '../../src/core/index.ts';
import { openAt } from '../../src/gateway/proxy/engine-route.ts';
import { HttpClient } from '../../src/http/index.ts';
import { Router } from '../../src/routing/index.ts';
import { withGateway } from './fakes.ts';
import type { AddressInfo } from 'node:net';
import type { EngineRoute } from '../../src/gateway/proxy/engine-route.ts';
import type { GatewayComponents, GatewayOptions } from '../../src/gateway/index.ts';
import type { RouterOptions } from '../../src/routing/index.ts';
import type { Site } from './fakes.ts';

export type EngineHandler = (
  request: http.IncomingMessage,
  response: http.ServerResponse,
  body: string,
) => void;

/** An engine that a test wrote. */
export class ScriptedEngine {
  readonly name: string;
  requests = 0;
  /** Requests whose connection closed before their answer was whole. */
  aborted = 0;
  handler: EngineHandler;
  readonly #server: http.Server;

  constructor(name: string, handler: EngineHandler) {
    this.name = name;
    this.handler = handler;
    this.#server = http.createServer((request, response) => {
      this.requests++;
      let body = '';
      request.setEncoding('utf8');
      request.on('data', (part: string) => {
        body += part;
      });
      request.on('end', () => this.handler(request, response, body));
      response.on('close', () => {
        if (!response.writableFinished) this.aborted++;
      });
    });
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  /** As a machine that dies: every connection is cut, nobody listens. */
  async kill(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export const MODEL = 'm';

/** An answer as engines give it, with usage. */
export function completion(text: string): string {
  const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
  const choices = [
    { index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' },
  ];
  return JSON.stringify({ id: 'c', object: 'chat.completion', model: MODEL, choices, usage });
}

/** Answers every request with its own name. */
export const answering =
  (name: string): EngineHandler =>
  (_request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(completion(name));
  };

export interface EngineSite extends Site {
  readonly engines: readonly ScriptedEngine[];
  readonly router: Router;
}

export interface EngineSiteOptions {
  readonly engines: readonly EngineHandler[];
  readonly routing?: RouterOptions;
  readonly options?: GatewayOptions;
  readonly parts?: Partial<GatewayComponents>;
  /** What engines call the model. */
  readonly modelName?: string;
}

export async function withEngines(
  { engines: handlers, routing, options, parts, modelName = MODEL }: EngineSiteOptions,
  use: (site: EngineSite) => Promise<void>,
): Promise<void> {
  const engines = handlers.map((handler, index) => new ScriptedEngine(`e${index}`, handler));
  await Promise.all(engines.map((engine) => engine.start()));
  const client = new HttpClient({ clock: systemClock });
  const router = new Router({ prng: createPrng(7) }, routing);
  const routes = new Map<string, EngineRoute>();
  for (const engine of engines) {
    const id = `node/${engine.name}`;
    const target = { origin: engine.origin, apiPath: '/v1', headers: {} };
    routes.set(id, {
      via: 'direct',
      modelNamed: () => modelName,
      open: (request, sink) => openAt({ client, target }, request, sink),
    });
    router.add({ id, node: engine.name, models: [MODEL] }, systemClock.now());
  }
  try {
    await withGateway(
      {
        ...parts,
        engines: { router, routes: { of: (id) => routes.get(id) }, list: () => [] },
        ...(options && { options }),
      },
      (site) => use({ ...site, engines, router }),
    );
  } finally {
    client.close();
    await Promise.all(engines.map((engine) => engine.kill()));
  }
}

export const chat = (content: string, more: object = {}) => ({
  model: MODEL,
  messages: [{ role: 'user', content }],
  ...more,
});
