// One gateway of the simulated fleet: the router of `src/routing/`, told what a real one is told:
// the load that nodes report, the first byte of each answer, and how it ended. It counts on nothing
// from the other gateways.
import { LoadStore } from '../../src/load/index.ts';
import { RetryPolicy, Router } from '../../src/routing/index.ts';
import type { Prng } from '../../src/core/index.ts';
import type { NodeLoad } from '../../src/load/index.ts';
import type { Choice, PolicyName, Result } from '../../src/routing/index.ts';
import type { Turn } from './workload.ts';

export const MODEL = 'bench';

export interface FleetGatewayOptions {
  readonly policy: PolicyName;
  readonly nodes: readonly string[];
}

/** A request on its way through a gateway; tries that were refused are behind it. */
export interface Passage {
  readonly turn: Turn;
  readonly tried: readonly Choice[];
  readonly choice: Choice;
}

export class FleetGateway {
  readonly #router: Router;
  readonly #retries: RetryPolicy;
  readonly #loads = new LoadStore();

  constructor({ prng }: { readonly prng: Prng }, { policy, nodes }: FleetGatewayOptions) {
    // The engines have run for long; none of them starts slowly.
    this.#router = new Router({ prng }, { policy, slowStart: { windowMs: 0 } });
    this.#retries = new RetryPolicy({ prng, nowMs: 0 });
    for (const node of nodes) this.#router.add({ id: node, node, models: [MODEL] }, 0);
  }

  hear(record: NodeLoad, nowMs: number): void {
    this.#loads.publish(record, nowMs);
    this.#router.hear(record.node, this.#loads.get(record.node));
  }

  /** Chooses a node and counts the request there; undefined when no node may be sent to. */
  send(turn: Turn, nowMs: number): Passage | undefined {
    this.#retries.requested();
    return this.#try(turn, [], nowMs);
  }

  /** After a refusal: how long to wait before the next try; undefined: there is none. */
  refused({ tried, choice }: Passage, nowMs: number): number | undefined {
    this.#router.settled(choice, 'failed', nowMs);
    return this.#retries.delayMs({ tried: tried.length + 1, status: 503 }, nowMs);
  }

  retry({ turn, tried, choice }: Passage, nowMs: number): Passage | undefined {
    return this.#try(turn, [...tried, choice], nowMs);
  }

  /** The first token is there. What was cached an engine says only at the end. */
  answered({ choice }: Passage, nowMs: number): void {
    this.#router.firstByte(choice, nowMs);
  }

  ended({ choice }: Passage, result: Result, nowMs: number): void {
    this.#router.settled(choice, result, nowMs);
  }

  #try(turn: Turn, tried: readonly Choice[], nowMs: number): Passage | undefined {
    const choice = this.#router.choose({ model: MODEL, prompt: turn.key }, nowMs, tried);
    if (choice === undefined || !this.#router.dispatched(choice, nowMs)) return undefined;
    return { turn, tried, choice };
  }
}
