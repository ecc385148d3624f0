// One node of the simulated fleet: the engine model of `src/engines/`, driven by simulated time,
// and what the node says of its load.
import { EngineModel } from '../../src/engines/index.ts';
import type { Agenda } from './agenda.ts';
import { BLOCK_TOKENS } from './text.ts';
import type { EngineModelOptions, EngineRequest, Sequence } from '../../src/engines/index.ts';
import type { NodeLoad } from '../../src/load/index.ts';

/**
 * About a model of 8 billion parameters on a GPU of 80 GB: what weights leave of its memory holds
 * 442,368 tokens of keys and values, at 128 KiB each.
 */
export const ENGINE: Required<EngineModelOptions> = {
  blockTokens: BLOCK_TOKENS,
  cacheBlocks: 6_912,
  maxRunning: 128,
  maxWaiting: 256,
  maxStepTokens: 2_048,
  prefillTokensPerSecond: 10_000,
  decodeTokensPerSecond: 90,
  slowdownPerSequence: 0.01,
};

export interface NodeRequest extends EngineRequest {
  /** Called with each token, at the time at which the client sees it. */
  readonly onToken: (sequence: Sequence<NodeRequest>, nowMs: number) => void;
}

export class FleetNode {
  readonly name: string;
  readonly #model = new EngineModel<NodeRequest>(ENGINE);
  readonly #events: Agenda;
  speed = 1;
  #stepping = false;
  #hits = 0;
  #queries = 0;

  constructor(name: string, events: Agenda) {
    this.name = name;
    this.#events = events;
  }

  submit(request: NodeRequest, nowMs: number): Sequence<NodeRequest> | undefined {
    const sequence = this.#model.submit(request);
    if (sequence !== undefined && !this.#stepping) this.#step(nowMs);
    return sequence;
  }

  cancel(sequence: Sequence<NodeRequest>): void {
    this.#model.cancel(sequence);
  }

  sample(nowMs: number): NodeLoad {
    const { running, waiting, cacheUsage, promptTokens, cachedTokens } = this.#model.gauges();
    const queries = promptTokens - this.#queries;
    const hits = cachedTokens - this.#hits;
    this.#queries = promptTokens;
    this.#hits = cachedTokens;
    const rate = queries > 0 && { cacheHitRate: hits / queries };
    return {
      node: this.name,
      incarnation: 1,
      timestampMs: nowMs,
      cpu: Math.min(1, running / ENGINE.maxRunning),
      memoryUsed: 0,
      memoryMax: 0,
      heapUsed: 0,
      heapMax: 0,
      eventLoopDelayMs: 0,
      eventLoopUtilization: 0,
      inFlight: running,
      queued: waiting,
      engine: { running, waiting, kvCacheUsage: cacheUsage, ...rate },
    };
  }

  #step(nowMs: number): void {
    const durationMs = this.#model.beginStep();
    this.#stepping = durationMs !== undefined;
    if (durationMs === undefined) return;
    this.#events.add(nowMs + durationMs / this.speed, (endMs) => {
      for (const sequence of this.#model.endStep()) sequence.request.onToken(sequence, endMs);
      this.#step(endMs);
    });
  }
}

/** Milliseconds of a full engine that a request costs, by the tokens that it had to compute. */
export function engineMs(uncachedTokens: number, outputTokens: number): number {
  const { prefillTokensPerSecond, decodeTokensPerSecond, maxRunning } = ENGINE;
  const slowdown = 1 + (maxRunning - 1) * ENGINE.slowdownPerSequence;
  const prefillMs = (uncachedTokens * 1000) / prefillTokensPerSecond;
  return prefillMs + (outputTokens * slowdown * 1000) / (decodeTokensPerSecond * maxRunning);
}
