// What an inference engine does with requests, without computing anything: continuous batching with
// chunked prefill over a cache of prompt blocks, step by step, as vLLM has it. Pure: a driver asks
// how long the next step takes, waits that long and ends it. Text and sockets are for the driver.
import { assert, invalidOption } from '../../core/index.ts';
import { SIMULATED_DEFAULTS } from '../defaults.ts';
import { BlockCache } from './block-cache.ts';

export interface EngineModelOptions {
  /** Tokens of one block of the cache. @default 16 */
  readonly blockTokens?: number;
  /** Blocks of the cache: the memory for keys and values. @default 8192 */
  readonly cacheBlocks?: number;
  /** Sequences of one batch; the others wait. @default 32 */
  readonly maxRunning?: number;
  /** Requests that may wait while the batch is full; one more is refused. @default 1024 */
  readonly maxWaiting?: number;
  /** Tokens of one step. More gives prompts to each step, and makes it longer. @default 2048 */
  readonly maxStepTokens?: number;
  /** Prompt tokens a second. @default 8000 */
  readonly prefillTokensPerSecond?: number;
  /** Tokens a second of a sequence that runs alone. @default 50 */
  readonly decodeTokensPerSecond?: number;
  /** By what share each further sequence makes a step of decoding longer. @default 0.01 */
  readonly slowdownPerSequence?: number;
}

export interface EngineRequest {
  readonly promptTokens: number;
  /** At least 1. */
  readonly outputTokens: number;
  /** Keys of the full blocks of prompt and answer; each stands for all that is before it, too. */
  readonly blockKeys: readonly number[];
}

/** A request on its way through the engine. */
export interface Sequence<R extends EngineRequest> {
  readonly request: R;
  readonly status: 'waiting' | 'running' | 'done' | 'cancelled';
  /** Prompt tokens that were in the cache when it began to run. */
  readonly cachedTokens: number;
  /** Tokens of the answer so far. */
  readonly generated: number;
}

export interface EngineModelGauges {
  readonly running: number;
  readonly waiting: number;
  /** 0 to 1. */
  readonly cacheUsage: number;
  /** Tokens since the start: prompts that began to run, what of them was cached, answers. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly generatedTokens: number;
}

interface State<R extends EngineRequest> {
  readonly request: R;
  status: Sequence<R>['status'];
  cachedTokens: number;
  generated: number;
  /** Tokens of prompt and answer whose keys and values are in the cache. */
  computed: number;
  /** Keys that this sequence holds, and blocks set aside that are still to be filled. */
  held: number;
  reserved: number;
  /** Prompt tokens of the step under way. */
  chunk: number;
}

export class EngineModel<R extends EngineRequest> {
  readonly #options: Required<EngineModelOptions>;
  readonly #cache: BlockCache;
  readonly #waiting: State<R>[] = [];
  #running: State<R>[] = [];
  #inStep = false;
  #promptTokens = 0;
  #cachedTokens = 0;
  #generatedTokens = 0;

  constructor(options: EngineModelOptions = {}) {
    this.#options = checkOptions(options);
    this.#cache = new BlockCache(this.#options.cacheBlocks);
  }

  /** The longest request, prompt and answer: what fills the cache. */
  get maxTokens(): number {
    return this.#options.cacheBlocks * this.#options.blockTokens;
  }

  /** Takes a request of at most `maxTokens`; undefined when too many wait already. */
  submit(request: R): Sequence<R> | undefined {
    const { promptTokens, outputTokens } = request;
    assert(promptTokens > 0 && outputTokens > 0, 'a request has a prompt and asks for an answer');
    assert(promptTokens + outputTokens <= this.maxTokens, 'a request fits into the cache');
    const { maxRunning, maxWaiting } = this.#options;
    if (this.#running.length + this.#waiting.length >= maxRunning + maxWaiting) return undefined;
    const counters = { cachedTokens: 0, generated: 0, computed: 0, held: 0, reserved: 0, chunk: 0 };
    const state: State<R> = { request, status: 'waiting', ...counters };
    this.#waiting.push(state);
    return state;
  }

  /** Frees what the sequence has, also in the middle of a step. Nothing when it has ended. */
  cancel(sequence: Sequence<R>): void {
    const state = sequence as State<R>;
    if (state.status === 'waiting') {
      this.#waiting.splice(this.#waiting.indexOf(state), 1);
      state.status = 'cancelled';
    } else if (state.status === 'running') {
      this.#end(state, 'cancelled');
      this.#running = this.#running.filter((other) => other !== state);
    }
  }

  /** Begins a step and returns its milliseconds; undefined: there is nothing to do. */
  beginStep(): number | undefined {
    assert(!this.#inStep, 'one step ends before the next begins');
    this.#admit();
    if (this.#running.length === 0) return undefined;
    this.#inStep = true;
    const { maxStepTokens, slowdownPerSequence } = this.#options;
    let decoding = 0;
    for (const { generated } of this.#running) if (generated > 0) decoding++;
    // Answers go on in every step; prompts share what is left, first come first served.
    const most = Math.max(1, maxStepTokens - decoding);
    let left = most;
    for (const state of this.#running) {
      if (state.generated > 0) continue;
      state.chunk = Math.min(left, state.request.promptTokens - state.computed);
      left -= state.chunk;
    }
    const prefillMs = ((most - left) * 1000) / this.#options.prefillTokensPerSecond;
    if (decoding === 0) return prefillMs;
    const slowdown = 1 + (decoding - 1) * slowdownPerSequence;
    return prefillMs + (slowdown * 1000) / this.#options.decodeTokensPerSecond;
  }

  /** Ends the step. Returns the sequences that have one more token, done or not. */
  endStep(): Sequence<R>[] {
    assert(this.#inStep, 'a step that ends has begun');
    this.#inStep = false;
    const advanced: State<R>[] = [];
    for (const state of this.#running) {
      const { promptTokens, outputTokens } = state.request;
      // A token of the answer enters the cache in the step after the one that gave it.
      if (state.generated > 0) state.computed++;
      state.computed += state.chunk;
      state.chunk = 0;
      this.#publish(state);
      if (state.computed < promptTokens) continue;
      state.generated++;
      advanced.push(state);
      if (state.generated === outputTokens) this.#end(state, 'done');
    }
    this.#generatedTokens += advanced.length;
    this.#running = this.#running.filter(({ status }) => status === 'running');
    return advanced;
  }

  gauges(): EngineModelGauges {
    return {
      running: this.#running.length,
      waiting: this.#waiting.length,
      cacheUsage: this.#cache.usage,
      promptTokens: this.#promptTokens,
      cachedTokens: this.#cachedTokens,
      generatedTokens: this.#generatedTokens,
    };
  }

  /** Lets those who wait run while there is room, first come first served. */
  #admit(): void {
    const { blockTokens, maxRunning } = this.#options;
    while (this.#running.length < maxRunning) {
      const state = this.#waiting[0];
      if (state === undefined) return;
      const { promptTokens, outputTokens, blockKeys } = state.request;
      // The last token of a prompt is always computed: the answer's first one comes from it.
      const usable = Math.floor((promptTokens - 1) / blockTokens);
      const matched = this.#cache.match(blockKeys, usable);
      const blocks = Math.ceil((promptTokens + outputTokens) / blockTokens);
      if (!this.#cache.acquire(blockKeys, matched, blocks - matched)) return;
      this.#waiting.shift();
      state.status = 'running';
      state.held = matched;
      state.reserved = blocks - matched;
      state.cachedTokens = matched * blockTokens;
      state.computed = state.cachedTokens;
      this.#promptTokens += promptTokens;
      this.#cachedTokens += state.cachedTokens;
      this.#running.push(state);
    }
  }

  #publish(state: State<R>): void {
    const { blockKeys } = state.request;
    const full = Math.min(Math.floor(state.computed / this.#options.blockTokens), blockKeys.length);
    while (state.held < full) {
      this.#cache.publish(blockKeys[state.held]!);
      state.held++;
      state.reserved--;
    }
  }

  #end(state: State<R>, status: 'done' | 'cancelled'): void {
    state.status = status;
    this.#cache.release(state.request.blockKeys, state.held, state.reserved);
  }
}

const WHOLE = ['blockTokens', 'cacheBlocks', 'maxRunning', 'maxWaiting', 'maxStepTokens'] as const;

function checkOptions(options: EngineModelOptions): Required<EngineModelOptions> {
  const checked = { ...SIMULATED_DEFAULTS.model, ...options };
  for (const option of WHOLE) {
    const value = checked[option];
    if (!(Number.isSafeInteger(value) && value >= 1)) {
      throw invalidOption(option, 'a whole number of at least 1', value);
    }
  }
  for (const option of ['prefillTokensPerSecond', 'decodeTokensPerSecond'] as const) {
    const value = checked[option];
    if (!(value > 0 && Number.isFinite(value))) throw invalidOption(option, 'above 0', value);
  }
  if (!(checked.slowdownPerSequence >= 0)) {
    throw invalidOption('slowdownPerSequence', 'from 0', checked.slowdownPerSequence);
  }
  return checked;
}
