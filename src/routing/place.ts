// The place of one request in all counts of a router, from its choice to its end.
import type { Permit } from './circuit-breaker.ts';
import type { Dispatch } from '../load/index.ts';
import type { Choice, ChoiceReason, Endpoint, KeyKind, RouteRequest } from './endpoint.ts';

/** What a router keeps of an endpoint; another one when an id comes back after it was removed. */
export interface Entry {
  readonly slot: number;
  endpoint: Endpoint;
}

/** `chosen`, then `sent` (nothing came back yet), then `answering`, then `over`: only forwards. */
export type Stage = 'chosen' | 'sent' | 'answering' | 'over';

export class Place implements Choice {
  readonly entry: Entry;
  readonly endpoint: Endpoint;
  readonly request: RouteRequest;
  readonly reason: ChoiceReason;
  readonly keyKind: KeyKind;
  readonly candidates: number;
  readonly cachedTokens: number;
  stage: Stage = 'chosen';
  permit: Permit = 0;
  dispatch: Dispatch = 0;
  sentAtMs = 0;
  /** Tokens of work that were ahead of it when it was sent. */
  aheadTokens = 0;

  constructor(
    entry: Entry,
    request: RouteRequest,
    facts: Pick<Choice, 'reason' | 'keyKind' | 'candidates' | 'cachedTokens'>,
  ) {
    this.entry = entry;
    this.endpoint = entry.endpoint;
    this.request = request;
    this.reason = facts.reason;
    this.keyKind = facts.keyKind;
    this.candidates = facts.candidates;
    this.cachedTokens = facts.cachedTokens;
  }

  get promptTokens(): number {
    return this.request.prompt?.tokens ?? 0;
  }

  /** Tokens that the engine has to read. */
  get uncachedTokens(): number {
    return this.promptTokens - this.cachedTokens;
  }
}
