// One try of a request at one engine: passes on what comes to its request until it is over.
import { messageOf } from '../../core/index.ts';
import { engineUnavailable } from './errors.ts';
import { UsageTail } from './usage.ts';
import type { FlotillaError } from '../../core/index.ts';
import type { Choice, Result } from '../../routing/index.ts';
import type {
  EngineCall,
  EngineHead,
  EngineRequest,
  EngineRoute,
  EngineSink,
} from './engine-route.ts';
import type { Usage } from './usage.ts';
import type { Span } from '../tracing/span.ts';

/** Who hears of a try. */
export interface AttemptOwner {
  headCame(attempt: Attempt, head: EngineHead): void;
  dataCame(attempt: Attempt, chunk: Buffer): boolean;
  ended(attempt: Attempt): void;
  failed(attempt: Attempt, error: FlotillaError): void;
}

export class Attempt implements EngineSink {
  readonly choice: Choice;
  readonly sentAtMs: number;
  /** True while the first data has not been passed on. */
  isFirstData = true;
  isEventStream = false;
  /** Absent where nobody traces the request. */
  span: Span | undefined;
  readonly #owner: AttemptOwner;
  readonly #tail = new UsageTail();
  #call: EngineCall | undefined;
  #isOver = false;

  constructor(owner: AttemptOwner, choice: Choice, sentAtMs: number) {
    this.#owner = owner;
    this.choice = choice;
    this.sentAtMs = sentAtMs;
  }

  open(route: EngineRoute, request: EngineRequest): void {
    this.span?.set({ 'flotilla.endpoint': this.choice.endpoint.id, 'flotilla.via': route.via });
    try {
      this.#call = route.open(request, this);
    } catch (error) {
      // Called by timers too: what an engine's address or fields are must end no process.
      this.onError(engineUnavailable(`the engine cannot be asked: ${messageOf(error)}`, error));
    }
  }

  endSpan(result: Result): void {
    this.span?.set({ 'flotilla.result': result });
    this.span?.end();
  }

  abort(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#call?.abort();
  }

  resume(): void {
    if (!this.#isOver) this.#call?.resume();
  }

  /** What the engine said that it took. */
  usage(): Usage | undefined {
    return this.isFirstData ? undefined : this.#tail.read();
  }

  onHead(head: EngineHead): void {
    if (this.#isOver) return;
    this.span?.set({ 'http.response.status_code': head.status });
    this.isEventStream = head.contentType.startsWith('text/event-stream');
    this.#owner.headCame(this, head);
  }

  onData(chunk: Buffer): boolean {
    if (this.#isOver) return true;
    this.#tail.push(chunk);
    if (this.isFirstData) this.span?.event('first_byte');
    const goOn = this.#owner.dataCame(this, chunk);
    this.isFirstData = false;
    return goOn;
  }

  onEnd(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#owner.ended(this);
  }

  onError(error: FlotillaError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.span?.fail(error.message);
    this.#owner.failed(this, error);
  }
}

/** A refusal (4xx) is not the engine's fault. */
export function resultOf(status: number | undefined): Result {
  return status === undefined || status >= 500 ? 'failed' : 'abandoned';
}
