// One request for inference from its head to the end of its answer: whose it is, when it may start,
// which engine gets it, what is tried again, and what the client hears. Every count that it takes
// (its place in the queue, its place at an endpoint) is given back in `#finish`, once.
import { FlotillaError } from '../../core/index.ts';
import { checkModel } from '../../admission/index.ts';
import { routeHeader } from '../../routing/index.ts';
import { INFERENCE_DEFAULTS } from '../defaults.ts';
import { errorBody, publicError, statusOf } from '../http-errors.ts';
import { Attempt, resultOf } from './attempt.ts';
import { endRequestSpan } from './request-span.ts';
import { bodyNaming, readInference, routeRequestOf } from './inference-request.ts';
import { engineHeaders } from './engine-headers.ts';
import { pathOf } from './engine-route.ts';
import { engineUnavailable, modelUnknown } from './errors.ts';
import type { ApiKey, Ticket, Waiter } from '../../admission/index.ts';
import type { Timer } from '../../core/index.ts';
import type { BodyTaker, Exchange } from '../../http/index.ts';
import type { Choice, Result, RouteRequest } from '../../routing/index.ts';
import type { EngineHead, EngineRequest } from './engine-route.ts';
import type { InferenceRequest } from './inference-request.ts';
import type { InferenceParts, InferenceRecord } from './inference.ts';
import type { Span } from '../tracing/span.ts';

export class ProxiedRequest implements Waiter, BodyTaker {
  readonly id: string;
  readonly path: string;
  readonly #parts: InferenceParts;
  readonly #exchange: Exchange;
  readonly #startedMs: number;
  /** Absent where nobody traces the request. */
  readonly #span: Span | undefined;
  /** Whose request it is: `key:…` or an address. */
  #client = '';
  #request: InferenceRequest | undefined;
  #routeRequest: RouteRequest | undefined;
  #key: ApiKey | undefined;
  #body: Buffer | undefined;
  #ticket: Ticket | undefined;
  /** Every choice that was dispatched, in order. */
  readonly #tried: Choice[] = [];
  /** Tries under way: one, or two while the request is hedged. */
  readonly #attempts: Attempt[] = [];
  /** The try whose answer the client gets. */
  #winner: Attempt | undefined;
  #retryTimer: Timer | undefined;
  #hedgeTimer: Timer | undefined;
  #isOver = false;
  #status = 0;

  constructor(parts: InferenceParts, exchange: Exchange, id: string) {
    this.#parts = parts;
    this.#exchange = exchange;
    this.id = id;
    this.path = pathOf(exchange.target);
    this.#startedMs = parts.clock.now();
    this.#span = parts.tracer?.begin(exchange.headers.get('traceparent'), `POST ${this.path}`);
  }

  /** Never throws: what goes wrong is answered. */
  start(): void {
    const { keys, limits } = this.#parts;
    const exchange = this.#exchange;
    exchange.onAbort(() => this.#abandon());
    exchange.onDrain(() => this.#winner?.resume());
    try {
      this.#key = keys?.authenticate(exchange.headers.get('authorization'));
      exchange.takeBody(limits.maxBodyBytes, this);
    } catch (error) {
      this.#answerError(error);
    }
  }

  onBody(body: Buffer): void {
    if (this.#isOver) return;
    this.#body = body;
    try {
      this.#admit(body);
    } catch (error) {
      this.#answerError(error);
    }
  }

  onBodyFailed(error: FlotillaError): void {
    if (this.#exchange.isOver) this.#abandon();
    else this.#answerError(error);
  }

  /** Its turn has come. */
  onTurn(): void {
    if (this.#routeRequest === undefined) this.#answerHere();
    else this.#try();
  }

  onRefused(error: FlotillaError): void {
    this.#answerError(error);
  }

  /** The head of a try's answer. */
  headCame(attempt: Attempt, head: EngineHead): void {
    if (head.status >= 400 && this.#tryAgain(attempt, head)) return;
    this.#win(attempt);
    this.#status = head.status;
    const { choice } = attempt;
    const { router, cors } = this.#parts;
    const route = routeHeader(choice, router.policy);
    const headers = head.headers.plus(
      `${this.#idLine}x-flotilla-route: ${route}\r\n`,
      cors.fieldsFor(this.#exchange.headers.get('origin')),
    );
    this.#exchange.respond(head.status, headers);
    // A body of known length follows at once, and takes the head along.
    if (headers.contentLength < 0) this.#exchange.flushHead();
  }

  /** False: the client is slow. */
  dataCame(attempt: Attempt, chunk: Buffer): boolean {
    if (attempt.isFirstData) this.#firstData(attempt);
    return this.#exchange.write(chunk);
  }

  ended(attempt: Attempt): void {
    this.#exchange.end();
    this.#settle(
      attempt,
      this.#status >= 500 ? 'failed' : this.#status >= 400 ? 'abandoned' : 'ok',
    );
    this.#finish(attempt);
  }

  failed(attempt: Attempt, error: FlotillaError): void {
    if (this.#winner === attempt) {
      this.#breakOff(attempt, error);
      return;
    }
    if (this.#tryAgain(attempt, undefined)) return;
    this.#answerError(engineUnavailable(`the engine did not answer: ${error.message}`, error));
  }

  #admit(body: Buffer): void {
    const parts = this.#parts;
    const key = this.#key;
    const { headers } = this.#exchange;
    const request = readInference(body, parts.promptKeys);
    this.#request = request;
    const model = request.model ?? this.#onlyModel();
    if (model !== undefined) checkModel(key, model);
    if (model !== undefined && parts.router.serves(model)) {
      this.#routeRequest = routeRequestOf(request, model, headers.get(parts.sessionHeader));
      parts.retries.requested();
      parts.hedges.requested();
    } else if (this.path !== '/v1/embeddings' || parts.local === undefined) {
      throw modelUnknown(request.model, parts.router.models());
    }
    const address = parts.addresses.of(
      this.#exchange.remoteAddress,
      headers.get('x-forwarded-for') && headers.getAll('x-forwarded-for').join(','),
    );
    this.#client = key === undefined ? parts.clientOf(address) : `key:${key.id}`;
    this.#ticket = parts.admission.admit(
      {
        client: this.#client,
        tokens: request.tokens,
        limits: key?.limits,
        priority: request.priority,
      },
      this,
    );
    if (this.#ticket.isRunning) this.onTurn();
  }

  /** What a request without a model asks for. Of embeddings the tables decide. */
  #onlyModel(): string | undefined {
    if (this.path === '/v1/embeddings') return undefined;
    const models = this.#parts.router.models();
    return models.length === 1 ? models[0] : undefined;
  }

  /** A model that no engine has: the fleet may have trained it itself. */
  #answerHere(): void {
    this.#parts.local?.(this.#request!.fields).then(
      (answer) => {
        if (this.#isOver) return;
        this.#status = 200;
        this.#exchange.respond(200, this.#ownFields());
        this.#exchange.end(Buffer.from(JSON.stringify(answer)));
        this.#finish(undefined);
      },
      (error: unknown) => this.#answerError(error),
    );
  }

  #try(): void {
    if (this.#isOver) return;
    try {
      this.#dispatch();
    } catch (error) {
      this.#answerError(error);
    }
  }

  #dispatch(): void {
    const { router, routes, clock, hedges } = this.#parts;
    const nowMs = clock.now();
    for (let picks = 0; picks < INFERENCE_DEFAULTS.maxPicks; picks++) {
      const choice = router.choose(this.#routeRequest!, nowMs, this.#tried);
      if (choice === undefined) break;
      if (!router.dispatched(choice, nowMs)) continue;
      const route = routes.of(choice.endpoint.id);
      const model = route?.modelNamed(this.#routeRequest!.model);
      if (route === undefined || model === undefined) {
        // It went away between two looks.
        router.settled(choice, 'abandoned', nowMs);
        continue;
      }
      this.#tried.push(choice);
      const attempt = new Attempt(this, choice, nowMs);
      attempt.span = this.#span?.child(`try ${choice.endpoint.id}`, 'client');
      this.#attempts.push(attempt);
      attempt.open(route, this.#requestFor(model, attempt.span));
      const delayMs = this.#attempts.length === 1 ? hedges.delayMs() : undefined;
      if (delayMs !== undefined) {
        this.#hedgeTimer = clock.schedule(delayMs, () => this.#hedge());
      }
      return;
    }
    if (this.#attempts.length > 0) return;
    const { model } = this.#routeRequest!;
    this.#answerError(engineUnavailable(`no engine that serves "${model}" takes requests now`));
  }

  /** An id is checked before it is one. */
  get #idLine(): string {
    return `x-request-id: ${this.id}\r\n`;
  }

  #requestFor(model: string, span: Span | undefined): EngineRequest {
    const { method, target, headers } = this.#exchange;
    // Of a field that is there twice an engine may read the other one: a key that is not for all
    // models sends what was checked.
    const asCame = this.#key?.models === undefined && this.#request!.model === model;
    const body = asCame ? this.#body! : bodyNaming(this.#request!, model);
    return {
      method,
      path: target,
      headers: engineHeaders(headers, this.#idLine, span?.traceparent),
      body,
    };
  }

  /** The first try is slower than most: a second endpoint is asked, the faster answer counts. */
  #hedge(): void {
    const { hedges, metrics } = this.#parts;
    if (this.#isOver || this.#winner !== undefined || this.#attempts.length !== 1) return;
    const [first] = this.#attempts;
    if (first!.choice.candidates < 2 || !hedges.take()) return;
    metrics.hedged();
    this.#try();
  }

  /** Whether a try that failed is not the end: another one is under way, or will be. */
  #tryAgain(attempt: Attempt, head: EngineHead | undefined): boolean {
    const { retries, clock, metrics } = this.#parts;
    const { choice } = attempt;
    const status = head?.status;
    // Where others are left, what this one asks to wait for does not matter.
    const first = this.#tried.find(({ endpoint }) => endpoint.id === choice.endpoint.id);
    const areLeft = choice.candidates > 1 && first === choice;
    const retryAfterMs = areLeft ? 0 : (head?.retryAfterMs ?? 0);
    if (this.#attempts.length > 1 && (head === undefined || head.status >= 429)) {
      this.#drop(attempt, resultOf(status));
      return true;
    }
    const delayMs =
      retryAfterMs > INFERENCE_DEFAULTS.maxRetryWaitMs
        ? undefined
        : retries.delayMs(
            { tried: this.#tried.length, retryAfterMs, ...(status !== undefined && { status }) },
            clock.now(),
          );
    if (delayMs === undefined) {
      if (head === undefined) this.#drop(attempt, 'failed');
      return false;
    }
    metrics.retried(status);
    this.#drop(attempt, resultOf(status));
    this.#hedgeTimer?.cancel();
    this.#retryTimer?.cancel();
    this.#retryTimer = clock.schedule(delayMs, () => this.#try());
    return true;
  }

  #win(attempt: Attempt): void {
    this.#winner = attempt;
    this.#hedgeTimer?.cancel();
    this.#retryTimer?.cancel();
    this.#dropAllBut(attempt);
  }

  #firstData(attempt: Attempt): void {
    const { router, clock, hedges, metrics } = this.#parts;
    const nowMs = clock.now();
    router.firstByte(attempt.choice, nowMs);
    if (this.#status >= 400) return;
    hedges.firstByte(nowMs - attempt.sentAtMs);
    if (this.#request!.isStreamed) metrics.firstToken((nowMs - this.#startedMs) / 1000);
  }

  /** The engine is gone in the middle of its answer: a stream ends with an event that says so. */
  #breakOff(attempt: Attempt, error: FlotillaError): void {
    const { log } = this.#parts;
    const { endpoint } = attempt.choice;
    const message = `the engine ${endpoint.id} broke off its answer: ${error.message}`;
    log.warn({ requestId: this.id, endpoint: endpoint.id, err: error }, 'an answer was broken off');
    if (attempt.isEventStream) {
      const body = errorBody(new FlotillaError('engine_broke_off', message));
      this.#exchange.end(Buffer.from(`\n\ndata: ${JSON.stringify(body)}\n\n`));
    } else {
      this.#exchange.fail(502);
    }
    this.#settle(attempt, 'failed');
    this.#status = 502;
    this.#finish(attempt);
  }

  /** Ends a try whose answer nobody gets. */
  #drop(attempt: Attempt, result: Result): void {
    attempt.abort();
    this.#settle(attempt, result);
  }

  #dropAllBut(kept: Attempt | undefined): void {
    for (let at = this.#attempts.length - 1; at >= 0; at--) {
      const attempt = this.#attempts[at]!;
      if (attempt !== kept) this.#drop(attempt, 'abandoned');
    }
  }

  #settle(attempt: Attempt, result: Result): void {
    const at = this.#attempts.indexOf(attempt);
    if (at < 0) return;
    this.#attempts.splice(at, 1);
    attempt.endSpan(result);
    const { router, clock } = this.#parts;
    router.settled(attempt.choice, result, clock.now());
  }

  /** The client is gone. */
  #abandon(): void {
    this.#status = 499;
    this.#finish(undefined);
  }

  #answerError(error: unknown): void {
    if (this.#isOver) return;
    const shown = publicError(error);
    const { status: own, retryAfterS } = shown.details;
    this.#status = typeof own === 'number' ? own : statusOf(shown.code);
    if (this.#status === 500) {
      this.#parts.log.error({ err: error, requestId: this.id }, 'a request failed unexpectedly');
    }
    const fields = this.#ownFields();
    if (retryAfterS !== undefined) fields.push('retry-after', String(retryAfterS));
    this.#exchange.fail(this.#status, JSON.stringify(errorBody(shown)), fields);
    this.#finish(undefined);
  }

  #ownFields(): string[] {
    const origin = this.#exchange.headers.get('origin');
    const cors = this.#parts.cors.fieldsFor(origin);
    return ['content-type', 'application/json', 'x-request-id', this.id, ...cors];
  }

  #finish(winner: Attempt | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#retryTimer?.cancel();
    this.#hedgeTimer?.cancel();
    this.#dropAllBut(undefined);
    const usage = winner?.usage();
    this.#ticket?.end(usage?.totalTokens);
    const { clock, onOver } = this.#parts;
    const choice = winner?.choice ?? this.#tried.at(-1);
    const record: InferenceRecord = {
      id: this.id,
      client: this.#client || this.#exchange.remoteAddress,
      path: this.path,
      status: this.#status,
      seconds: (clock.now() - this.#startedMs) / 1000,
      tries: this.#tried.length,
      model: this.#routeRequest?.model,
      endpoint: choice?.endpoint.id,
      reason: choice?.reason,
      waitedMs: this.#ticket?.waitedMs ?? 0,
      usage,
    };
    endRequestSpan(this.#span, record);
    onOver(record);
  }
}
