// The endpoints of one router: who serves which model, and who of them may be sent to now. Slots
// are those of the `RoutingView`; every other count of an endpoint goes by them.
import { FlotillaError, invalidOption } from '../core/index.ts';
import { EndpointHealth } from './endpoint-health.ts';
import type { Prng } from '../core/index.ts';
import type { KnownLoad, RoutingView } from '../load/index.ts';
import type { Endpoint, Exclusion } from './endpoint.ts';
import type { HealthOptions } from './endpoint-health.ts';
import type { Entry, Place } from './place.ts';

/** Bytes of an id: it stands in a header. */
const MAX_ID_LENGTH = 253;
const ID = /^[\x21-\x7e]+$/;

/** Slots that may serve a request: the first `count`. */
export interface MutableCandidates {
  readonly slots: Uint16Array;
  count: number;
}

export class EndpointPool {
  readonly health: EndpointHealth;
  readonly #view: RoutingView;
  readonly #prng: Prng;
  readonly #maxEndpoints: number;
  readonly #bySlot: (Entry | undefined)[] = [];
  readonly #byId = new Map<string, Entry>();
  readonly #byModel = new Map<string, Entry[]>();
  readonly #byNode = new Map<string, Entry[]>();
  readonly #candidates: MutableCandidates;

  constructor(
    components: { view: RoutingView; prng: Prng },
    maxEndpoints: number,
    options: HealthOptions,
  ) {
    if (!(Number.isInteger(maxEndpoints) && maxEndpoints >= 1 && maxEndpoints <= 4_096)) {
      throw invalidOption('maxEndpoints', 'a whole number from 1 to 4096', maxEndpoints);
    }
    this.#view = components.view;
    this.#prng = components.prng;
    this.#maxEndpoints = maxEndpoints;
    this.#candidates = { slots: new Uint16Array(maxEndpoints), count: 0 };
    this.health = new EndpointHealth(options);
  }

  get size(): number {
    return this.#byId.size;
  }

  entries(): IterableIterator<Entry> {
    return this.#byId.values();
  }

  find(id: string): Entry | undefined {
    return this.#byId.get(id);
  }

  at(slot: number): Entry {
    return this.#bySlot[slot]!;
  }

  /** Whether it is still there: an id that comes back has another entry. */
  has(entry: Entry): boolean {
    return this.#bySlot[entry.slot] === entry;
  }

  models(): IterableIterator<string> {
    return this.#byModel.keys();
  }

  serves(model: string): boolean {
    return this.#byModel.has(model);
  }

  /** Adds an endpoint, or changes what is known of it. */
  set(endpoint: Endpoint, nowMs: number): { entry: Entry; isNew: boolean } {
    check(endpoint);
    const known = this.#byId.get(endpoint.id);
    if (known === undefined && this.#byId.size >= this.#maxEndpoints) {
      throw new FlotillaError(
        'too_many_endpoints',
        `${endpoint.id} is one endpoint more than ${this.#maxEndpoints}`,
        { details: { limit: this.#maxEndpoints } },
      );
    }
    const slot = this.#view.add(endpoint.id, endpoint.capacity);
    if (known !== undefined) this.#unlist(known);
    const entry = known ?? { slot, endpoint };
    entry.endpoint = endpoint;
    this.#list(entry);
    if (known !== undefined) return { entry, isNew: false };
    this.#byId.set(endpoint.id, entry);
    this.#bySlot[slot] = entry;
    this.health.add(slot, nowMs);
    return { entry, isNew: true };
  }

  /** Its entry; undefined when there was none. */
  remove(id: string): Entry | undefined {
    const entry = this.#byId.get(id);
    if (entry === undefined) return undefined;
    this.#unlist(entry);
    this.#byId.delete(id);
    this.#bySlot[entry.slot] = undefined;
    this.#view.remove(id);
    this.health.remove(entry.slot);
    return entry;
  }

  /** A node's load is taken to be spread evenly over its endpoints. */
  hear(node: string, known: KnownLoad | undefined): void {
    const entries = this.#byNode.get(node);
    if (entries === undefined) return;
    const share = known === undefined ? undefined : shareOf(known, entries.length);
    for (const { endpoint } of entries) this.#view.update(endpoint.id, share);
  }

  /** Who may serve `model` now, `tried` only when nobody else can. Valid until the next call. */
  collect(model: string, nowMs: number, tried: readonly Place[]): MutableCandidates {
    const candidates = this.#candidates;
    candidates.count = 0;
    const entries = this.#byModel.get(model);
    if (entries === undefined) return candidates;
    this.#gather(entries, nowMs, tried);
    if (candidates.count === 0 && tried.length > 0) this.#gather(entries, nowMs, []);
    return candidates;
  }

  /** Leaves out by chance who starts slowly, measured by who is furthest: one always stays. */
  thin(candidates: MutableCandidates, nowMs: number): void {
    const { slots, count } = candidates;
    if (count < 2 || !this.health.isStarting(nowMs)) return;
    let most = 0;
    for (let i = 0; i < count; i++) most = Math.max(most, this.health.weight(slots[i]!, nowMs));
    candidates.count = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const share = this.health.weight(slot, nowMs) / most;
      if (share < 1 && this.#prng.next() >= share) continue;
      slots[candidates.count++] = slot;
    }
  }

  /** All who serve `model`, and why they may not be sent to. */
  list(model: string, nowMs: number): { entry: Entry; excluded: Exclusion | undefined }[] {
    const entries = this.#byModel.get(model) ?? [];
    return entries.map((entry) => ({ entry, excluded: this.health.exclusion(entry.slot, nowMs) }));
  }

  #gather(entries: readonly Entry[], nowMs: number, tried: readonly Place[]): void {
    const candidates = this.#candidates;
    for (const entry of entries) {
      if (this.health.exclusion(entry.slot, nowMs) !== undefined) continue;
      if (tried.length > 0 && tried.some((place) => place.entry === entry)) continue;
      candidates.slots[candidates.count++] = entry.slot;
    }
  }

  #list(entry: Entry): void {
    const { models, node } = entry.endpoint;
    for (const model of new Set(models)) append(this.#byModel, model, entry);
    append(this.#byNode, node, entry);
  }

  #unlist(entry: Entry): void {
    const { models, node } = entry.endpoint;
    for (const model of new Set(models)) take(this.#byModel, model, entry);
    take(this.#byNode, node, entry);
  }
}

function append(lists: Map<string, Entry[]>, key: string, entry: Entry): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [entry]);
  else list.push(entry);
}

function take(lists: Map<string, Entry[]>, key: string, entry: Entry): void {
  const left = lists.get(key)!.filter((other) => other !== entry);
  if (left.length === 0) lists.delete(key);
  else lists.set(key, left);
}

function shareOf(known: KnownLoad, endpoints: number): KnownLoad {
  if (endpoints === 1) return known;
  const { inFlight, queued } = known.record;
  const record = {
    ...known.record,
    inFlight: inFlight / endpoints,
    queued: queued / endpoints,
  };
  return { ...known, record };
}

function check({ id, node, models, capacity = 1 }: Endpoint): void {
  if (id.length > MAX_ID_LENGTH || !ID.test(id)) {
    throw invalid('id', `1 to ${MAX_ID_LENGTH} visible ASCII characters`, id);
  }
  if (node === '') throw invalid('node', 'not empty', node);
  if (models.length === 0 || models.includes('')) throw invalid('models', 'names', models);
  if (!(capacity > 0 && Number.isFinite(capacity))) {
    throw invalid('capacity', 'above 0 and finite', capacity);
  }
}

function invalid(field: string, rule: string, actual: unknown): FlotillaError {
  const message = `${field} of an endpoint must be ${rule}, but is ${JSON.stringify(actual)}`;
  return new FlotillaError('endpoint_invalid', message, { details: { field, rule } });
}
