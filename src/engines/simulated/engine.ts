// An inference server that answers like vLLM and computes nothing: OpenAI's completions over HTTP,
// in the time that the engine model says, with its cache, gauges and cancellation. For trying and
// testing a fleet where there is no GPU.
import http from 'node:http';
import { FlotillaError, hasCode, invalidOption, messageOf } from '../../core/index.ts';
import { SIMULATED_DEFAULTS } from '../defaults.ts';
import { refusal } from '../errors.ts';
import { AnswerWriter, sendJson } from './answers.ts';
import { engineExposition } from './exposition.ts';
import { EngineModel } from './model.ts';
import { readChat, readCompletion, readJson, readTokenize } from './requests.ts';
import { answerTo, blockKeys, tokenCount, tokenIds } from './text.ts';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock, Timer } from '../../core/index.ts';
import type { EngineModelGauges, EngineModelOptions, EngineRequest } from './model.ts';
import type { CompletionRequest } from './requests.ts';

export interface SimulatedEngineOptions extends EngineModelOptions {
  /** @default "127.0.0.1" */
  readonly host?: string;
  /** 0 lets the system choose. @default 8000 */
  readonly port?: number;
  /** Names that it serves, all alike. @default ["simulated"] */
  readonly models?: readonly string[];
  /** How many times as fast as its rates say: 0.25 makes a straggler. @default 1 */
  readonly speed?: number;
  /** Tokens of an answer whose length the request leaves open. @default 64 */
  readonly outputTokens?: number;
}

interface Job extends EngineRequest {
  readonly answer: AnswerWriter;
}

/** One that listens. Errors: `engine_listen_failed`, `invalid_option`. */
export async function startSimulatedEngine(
  components: { readonly clock: Clock },
  options: SimulatedEngineOptions = {},
): Promise<SimulatedEngine> {
  const engine = new SimulatedEngine(components, options);
  await engine.start();
  return engine;
}

export class SimulatedEngine {
  readonly #clock: Clock;
  readonly #options: ReturnType<typeof checkOptions>;
  readonly #model: EngineModel<Job>;
  readonly #server: http.Server;
  readonly #startedS: number;
  #step: Timer | undefined;
  #stepEndsMs = 0;
  #requests = 0;

  constructor({ clock }: { readonly clock: Clock }, options: SimulatedEngineOptions = {}) {
    this.#clock = clock;
    this.#options = checkOptions(options);
    this.#model = new EngineModel(options);
    this.#startedS = Math.floor(clock.wallTime() / 1000);
    this.#server = http.createServer((request, response) => void this.#answer(request, response));
  }

  /** Where it listens: `http://host:port`. */
  get url(): string {
    const { address, port, family } = this.#server.address() as AddressInfo;
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  gauges(): EngineModelGauges {
    return this.#model.gauges();
  }

  start(): Promise<void> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      const fail = (cause: Error & { code?: string }) => {
        const taken = cause.code === 'EADDRINUSE';
        const why = taken ? 'another program listens there' : messageOf(cause);
        const message = `the simulated engine cannot listen on ${host}, port ${port}: ${why}`;
        reject(new FlotillaError('engine_listen_failed', message, { details: { port }, cause }));
      };
      this.#server.once('error', fail);
      this.#server.listen(port, host, () => {
        this.#server.off('error', fail);
        resolve();
      });
    });
  }

  /** Cuts what is under way. */
  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
    this.#step?.cancel();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#route(request, response);
    } catch (error) {
      if (response.destroyed) return;
      // The rest of a body that is too large is not read.
      if (!request.complete) response.setHeader('connection', 'close');
      sendError(response, error);
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = ''] = (request.url ?? '').split('?');
    const { models } = this.#options;
    switch (`${request.method} ${path}`) {
      case 'GET /health':
        response.end();
        return;
      case 'GET /v1/models':
        sendJson(response, this.#modelList());
        return;
      case 'GET /metrics':
        response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8');
        response.end(engineExposition(this.#model.gauges(), models[0]!));
        return;
      case 'POST /tokenize': {
        const tokens = tokenIds(readTokenize(await readJson(request)));
        const body = { count: tokens.length, max_model_len: this.#model.maxTokens, tokens };
        sendJson(response, body);
        return;
      }
      case 'POST /v1/chat/completions':
        this.#complete(readChat(await readJson(request)), response);
        return;
      case 'POST /v1/completions':
        this.#complete(readCompletion(await readJson(request)), response);
        return;
      default:
        throw refusal(404, 'NotFoundError', { message: `there is no ${request.method} ${path}` });
    }
  }

  #modelList(): object {
    const { maxTokens } = this.#model;
    const common = { object: 'model', created: this.#startedS, owned_by: 'flotilla' };
    const data = this.#options.models.map((id) => ({ id, ...common, max_model_len: maxTokens }));
    return { object: 'list', data };
  }

  #complete(asked: CompletionRequest, response: ServerResponse): void {
    // Who is gone already would keep a place that nothing frees.
    if (response.closed) return;
    const { models, blockTokens } = this.#options;
    const { kind, prompt, maxTokens, stream, includeUsage } = asked;
    const model = asked.model ?? models[0]!;
    if (!models.includes(model)) {
      const message = `The model \`${model}\` does not exist.`;
      throw refusal(404, 'NotFoundError', { message, param: 'model' });
    }
    const outputTokens = maxTokens ?? this.#options.outputTokens;
    const promptTokens = tokenCount(prompt);
    this.#checkLength(promptTokens, outputTokens);
    const tokens = answerTo(prompt, outputTokens);
    this.#requests += 1;
    const id = `${kind === 'chat' ? 'chatcmpl' : 'cmpl'}-${this.#startedS}-${this.#requests}`;
    const createdS = Math.floor(this.#clock.wallTime() / 1000);
    const finishReason = maxTokens === undefined ? 'stop' : 'length';
    const format = { id, kind, model, createdS, stream, includeUsage };
    const text = { tokens, finishReason, promptTokens } as const;
    const sequence = this.#model.submit({
      promptTokens,
      outputTokens,
      blockKeys: blockKeys(`${prompt}${tokens.join('')}`, blockTokens),
      answer: new AnswerWriter(response, { ...format, ...text }),
    });
    if (sequence === undefined) {
      const { waiting } = this.#model.gauges();
      const message = `${waiting} requests wait already; try again later`;
      throw refusal(503, 'ServiceUnavailableError', { message });
    }
    // When the client is gone, its place and its blocks are free at once.
    response.once('close', () => this.#model.cancel(sequence));
    if (this.#step === undefined) this.#run(this.#clock.now());
  }

  #checkLength(promptTokens: number, outputTokens: number): void {
    const { maxTokens } = this.#model;
    if (promptTokens + outputTokens <= maxTokens) return;
    const asked = `prompt (${promptTokens} tokens) and answer (${outputTokens} tokens)`;
    const message = `${asked} must be at most ${maxTokens} tokens together`;
    throw refusal(400, 'BadRequestError', { message, param: 'max_tokens' });
  }

  /** Begins a step at `nowMs`, when the last one was due: late timers do not add up. */
  #run(nowMs: number): void {
    const durationMs = this.#model.beginStep();
    if (durationMs === undefined) {
      this.#step = undefined;
      return;
    }
    this.#stepEndsMs = nowMs + durationMs / this.#options.speed;
    const delayMs = Math.max(0, this.#stepEndsMs - this.#clock.now());
    this.#step = this.#clock.schedule(delayMs, () => {
      for (const { request, generated, cachedTokens } of this.#model.endStep()) {
        request.answer.advance(generated, cachedTokens);
      }
      this.#run(this.#stepEndsMs);
    });
  }
}

/** vLLM's error body. What was not raised on purpose is a fault of the engine. */
function sendError(response: ServerResponse, error: unknown): void {
  const details = hasCode(error, 'engine_refused') ? error.details : {};
  const { status = 500, type = 'InternalServerError', param = null } = details;
  const body = { message: messageOf(error), type, param, code: status };
  sendJson(response, { error: body }, Number(status));
}

function checkOptions(options: SimulatedEngineOptions) {
  const { host, port, models, speed, outputTokens } = { ...SIMULATED_DEFAULTS, ...options };
  if (!(speed > 0 && Number.isFinite(speed))) throw invalidOption('speed', 'above 0', speed);
  if (models.length === 0) throw invalidOption('models', 'at least one name', 'none');
  if (!(Number.isInteger(outputTokens) && outputTokens >= 1)) {
    throw invalidOption('outputTokens', 'a whole number of at least 1', outputTokens);
  }
  const blockTokens = options.blockTokens ?? SIMULATED_DEFAULTS.model.blockTokens;
  return { host, port, models, speed, outputTokens, blockTokens };
}
