// Prefix affinity with a saturation release: a request goes where its first token is expected
// first. An endpoint that has the beginning of the prompt in its cache has less to read; so a
// conversation stays with the holder of its cache until the wait there is longer than the best
// other one's by more than what the cache saves and a little, all in the same unit. What nobody has
// seen goes to its home on the ring, so that gateways which share no state agree.
import { invalidOption } from '../core/index.ts';
import { AFFINITY_DEFAULTS } from './defaults.ts';
import { keyOf } from './policies.ts';
import { TOKENS_PER_BLOCK } from './prompt-key.ts';
import type { Candidates } from '../load/index.ts';
import type { ChoiceReason, RouteRequest } from './endpoint.ts';
import type { Home } from './home-ring.ts';
import type { Pick, Policy, PolicyComponents, Score } from './policies.ts';
import type { PrefixIndex } from './prefix-index.ts';

export interface AffinityOptions {
  /** @default 32 */
  readonly minLoadCap?: number;
  /** @default 16 */
  readonly inFlightTokens?: number;
  /** @default 0.9 */
  readonly homeTrust?: number;
  /** @default 4096 */
  readonly homeSlackTokens?: number;
  /** @default 2048 */
  readonly holderSlackTokens?: number;
}

const NO_HOME: Home = { slot: -1, spilled: false };

export class PrefixAffinity implements Policy {
  readonly #components: PolicyComponents;
  readonly #index: PrefixIndex;
  readonly #options: Required<AffinityOptions>;
  /** Blocks of the prompt that each slot has seen. */
  readonly #depths: Uint16Array;
  #home: Home = NO_HOME;
  /** What of the prompt the home is taken to have, and what waiting there is overlooked. */
  #homeTokens = 0;
  #homeSlackMs = 0;
  /** What waiting is overlooked at a holder of the conversation. */
  #holderSlackMs = 0;
  /** Most cached tokens of a candidate. */
  #mostCached = 0;

  constructor(components: PolicyComponents, maxEndpoints: number, options: AffinityOptions = {}) {
    this.#components = components;
    this.#index = components.index!;
    this.#options = { ...AFFINITY_DEFAULTS, ...options };
    const { homeTrust, inFlightTokens, homeSlackTokens, holderSlackTokens } = this.#options;
    if (!(homeTrust >= 0 && homeTrust <= 1)) throw invalidOption('homeTrust', '0 to 1', homeTrust);
    for (const [name, value] of Object.entries({
      inFlightTokens,
      homeSlackTokens,
      holderSlackTokens,
    })) {
      if (!(value >= 0 && Number.isFinite(value))) throw invalidOption(name, 'at least 0', value);
    }
    this.#depths = new Uint16Array(maxEndpoints);
  }

  choose(request: RouteRequest, candidates: Candidates, ask: { nowMs: number; pick: Pick }): void {
    const { nowMs, pick } = ask;
    this.#look(request, candidates, nowMs);
    const { slots, count } = candidates;
    const promptTokens = request.prompt?.tokens ?? 0;
    let best = -1;
    let bestCost = Number.POSITIVE_INFINITY;
    let at = this.#components.prng.int(count);
    for (let i = 0; i < count; i++, at = at + 1 === count ? 0 : at + 1) {
      const slot = slots[at]!;
      const cost = this.#costMs(slot, promptTokens, nowMs);
      if (best !== -1 && !(cost < bestCost)) continue;
      best = slot;
      bestCost = cost;
    }
    pick.slot = best;
    pick.cachedTokens = this.#cachedTokens(best, promptTokens);
    pick.reason = this.#reasonOf(best);
  }

  scores(request: RouteRequest, candidates: Candidates, nowMs: number): Score[] {
    this.#look(request, candidates, nowMs);
    const promptTokens = request.prompt?.tokens ?? 0;
    return Array.from(candidates.slots.subarray(0, candidates.count), (slot) => ({
      score: this.#costMs(slot, promptTokens, nowMs),
      cachedTokens: this.#cachedTokens(slot, promptTokens),
      home: slot === this.#home.slot,
    }));
  }

  /** Tokens of work that are ahead of a request at `slot`. */
  aheadTokens(slot: number, nowMs: number): number {
    const { board, view } = this.#components;
    return board.waiting(slot, nowMs) + this.#options.inFlightTokens * view.inFlight(slot);
  }

  #look(request: RouteRequest, candidates: Candidates, nowMs: number): void {
    const { prompt } = request;
    const { slots, count } = candidates;
    let deepest = 0;
    if (prompt === undefined) this.#depths.fill(0);
    else if (this.#index.match(prompt, this.#depths, nowMs) > 0) {
      for (let i = 0; i < count; i++) deepest = Math.max(deepest, this.#depths[slots[i]!]!);
    }
    this.#mostCached = deepest * TOKENS_PER_BLOCK;
    const key = keyOf(request);
    this.#home = key === undefined ? NO_HOME : this.#components.homes.find(key, candidates);
    // Whoever has the history has served the conversation: no need to guess.
    const trusted = this.#options.homeTrust * (prompt?.historyTokens ?? 0);
    const isKnown =
      trusted > 0 && this.#mostCached > 0 && this.#mostCached + TOKENS_PER_BLOCK > trusted;
    this.#homeTokens = isKnown ? 0 : trusted;
    const { homeSlackTokens, holderSlackTokens } = this.#options;
    const { typicalRate } = this.#components.board;
    this.#homeSlackMs = isKnown ? 0 : homeSlackTokens / typicalRate;
    this.#holderSlackMs = isKnown ? holderSlackTokens / typicalRate : 0;
  }

  #costMs(slot: number, promptTokens: number, nowMs: number): number {
    let seen = this.#depths[slot]! * TOKENS_PER_BLOCK;
    let slackMs = seen === this.#mostCached ? this.#holderSlackMs : 0;
    if (slot === this.#home.slot) {
      seen = Math.max(seen, this.#homeTokens);
      slackMs += this.#homeSlackMs;
    }
    const tokens = this.aheadTokens(slot, nowMs) + Math.max(0, promptTokens - seen);
    return tokens / this.#components.board.rate(slot) - slackMs;
  }

  #cachedTokens(slot: number, promptTokens: number): number {
    return Math.min(promptTokens, this.#depths[slot]! * TOKENS_PER_BLOCK);
  }

  #reasonOf(slot: number): ChoiceReason {
    const cached = this.#depths[slot]! * TOKENS_PER_BLOCK;
    if (cached > 0 && cached === this.#mostCached) return 'prefix';
    if (slot === this.#home.slot) return this.#home.spilled ? 'spill' : 'home';
    return this.#mostCached > 0 ? 'released' : 'load';
  }
}
