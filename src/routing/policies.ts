// What every policy is, and the simple ones: those of `src/load/` and the bounded-load ring. Prefix
// affinity has a file of its own.
import { toHex } from '../hash/index.ts';
import { createBalancer } from '../load/index.ts';
import type { Prng } from '../core/index.ts';
import type { BalancerName, Candidates, RoutingView } from '../load/index.ts';
import type { ChoiceReason, KeyKind, PolicyName, RouteRequest } from './endpoint.ts';
import type { HomeRing } from './home-ring.ts';
import type { PrefillBoard } from './prefill-board.ts';
import type { PrefixIndex } from './prefix-index.ts';

/** Where a policy writes its decision: a decision allocates nothing. */
export interface Pick {
  slot: number;
  reason: ChoiceReason;
  cachedTokens: number;
}

/** What a policy makes of one candidate. */
export interface Score {
  /** The lowest wins; NaN where nothing is compared. */
  score: number;
  cachedTokens: number;
  home: boolean;
}

export interface Policy {
  /** Chooses among at least one candidate. */
  choose(request: RouteRequest, candidates: Candidates, ask: { nowMs: number; pick: Pick }): void;
  /** What `choose` would compare, one for each candidate. */
  scores(request: RouteRequest, candidates: Candidates, nowMs: number): Score[];
}

export interface PolicyComponents {
  readonly view: RoutingView;
  readonly prng: Prng;
  readonly homes: HomeRing;
  readonly board: PrefillBoard;
  /** Only where the policy is prefix affinity. */
  readonly index?: PrefixIndex;
}

/** What names a request: its conversation, else its user, else how its prompt begins. */
export function keyKindOf({ session, user, prompt }: RouteRequest): KeyKind {
  if (session !== undefined) return 'session';
  if (user !== undefined) return 'user';
  return prompt === undefined ? 'none' : 'prompt';
}

/** The request's key on the ring; undefined when nothing names it. */
export function keyOf({ session, user, prompt }: RouteRequest): string | undefined {
  return session ?? user ?? (prompt && toHex(prompt.root));
}

type SimplePolicy = Exclude<PolicyName, 'consistent-hash' | 'prefix-affinity'>;

const BALANCERS: Readonly<Record<SimplePolicy, BalancerName>> = {
  'round-robin': 'round-robin',
  random: 'random',
  'least-load': 'two-choices',
  weighted: 'weighted',
};

/** A policy that looks at load only. */
export function loadPolicy(name: SimplePolicy, { view, prng }: PolicyComponents): Policy {
  const balancer = createBalancer(BALANCERS[name], { view, prng });
  const scoreOf = (slot: number) => {
    if (name === 'least-load') return view.outstanding(slot);
    return name === 'weighted' ? 1 - view.room(slot) : Number.NaN;
  };
  return {
    choose(_, candidates, { nowMs, pick }) {
      pick.slot = balancer.pick(candidates, nowMs);
      pick.reason = 'policy';
      pick.cachedTokens = 0;
    },
    scores: (_, { slots, count }) =>
      Array.from(slots.subarray(0, count), (slot) => ({
        score: scoreOf(slot),
        cachedTokens: 0,
        home: false,
      })),
  };
}

/** Consistent hashing with bounded load; requests without a key go where least is in flight. */
export function consistentHash({ view, prng, homes }: PolicyComponents): Policy {
  const unnamed = createBalancer('least-outstanding', { view, prng });
  return {
    choose(request, candidates, { nowMs, pick }) {
      const key = keyOf(request);
      pick.cachedTokens = 0;
      if (key === undefined) {
        pick.slot = unnamed.pick(candidates, nowMs);
        pick.reason = 'load';
      } else {
        const { slot, spilled } = homes.find(key, candidates);
        pick.slot = slot;
        pick.reason = spilled ? 'spill' : 'home';
      }
    },
    scores(request, candidates) {
      const key = keyOf(request);
      const { slot: owner } = homes.find(key ?? '', candidates);
      const home = key === undefined ? -1 : owner;
      return Array.from(candidates.slots.subarray(0, candidates.count), (slot) => ({
        score: homes.fullness(slot),
        cachedTokens: 0,
        home: slot === home,
      }));
    },
  };
}
