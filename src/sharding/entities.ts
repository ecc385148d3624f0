// The entities in memory of one type at one node: a mailbox each, one message at a time, what
// becomes of one that fails, who leaves memory when. Which shards run is `ShardHost`'s.
import { FlotillaError } from '../core/index.ts';
import { EntityCell } from './entity-cell.ts';
import { notDelivered, outcomeUnknown } from './errors.ts';
import type { HostedShard } from './hosted-shard.ts';
import type { Incoming } from './outgoing.ts';

/** What is taken along of an entity that is in memory. */
export interface EntityRecord {
  readonly id: string;
  readonly state: unknown;
}

export interface EntityActions {
  now(): number;
  /** The state of an entity that has none. */
  initial(id: string): unknown;
  /** Ends with `completed` or `failed`, at once or later. */
  run(cell: EntityCell, message: Incoming): void;
  /** Ends with `loaded` or `loadFailed`. Only for types with a journal. */
  load(cell: EntityCell): void;
}

export interface EntityOptions {
  /** Entities are in a journal: they are loaded before they handle anything. */
  readonly journaled: boolean;
  /** Entities of the journal are in memory, asked or not. */
  readonly remember: boolean;
  readonly mailboxCapacity: number;
  /** Idle entities leave memory after this. */
  readonly passivateAfterMs: number;
  /** Most entities in memory; those that were idle longest leave first. */
  readonly maxActive: number;
}

/** What becomes of an entity whose handler failed. */
export type AfterFailure = 'keep' | 'restart' | 'stop';

export interface EntitiesComponents {
  readonly shards: ReadonlyMap<number, HostedShard>;
  readonly actions: EntityActions;
  /** True while this node is the owner; when it is not, it has dropped all shards. */
  readonly live: () => boolean;
  /** A handler ended in a shard that does not run any more. */
  readonly drained: (shard: HostedShard) => void;
}

export class Entities {
  readonly #shards: ReadonlyMap<number, HostedShard>;
  readonly #actions: EntityActions;
  readonly #live: () => boolean;
  readonly #drained: (shard: HostedShard) => void;
  readonly #options: EntityOptions;
  #active = 0;
  /** Messages whose handler ended with an answer, and with an error. */
  answered = 0;
  failures = 0;

  constructor(components: EntitiesComponents, options: EntityOptions) {
    this.#shards = components.shards;
    this.#actions = components.actions;
    this.#live = components.live;
    this.#drained = components.drained;
    this.#options = options;
  }

  /** How many there are. */
  get active(): number {
    return this.#active;
  }

  /** Brings back what was handed over, and starts those that shall always run. */
  restore(
    shard: HostedShard,
    entities: readonly EntityRecord[],
    remembered: readonly string[],
  ): void {
    for (const { id, state } of entities) this.#addCell(shard, id, { state });
    for (const id of remembered) if (!shard.cells.has(id)) this.#addCell(shard, id);
  }

  /** Tries again to start those that shall run and could not be loaded. */
  recall(shard: HostedShard): void {
    if (shard.phase !== 'running') return;
    const ids = [...shard.missing];
    shard.missing.clear();
    for (const id of ids) if (!shard.cells.has(id)) this.#addCell(shard, id);
  }

  /** Nothing more is begun in the shard; what waits goes back to its senders. */
  freeze(shard: HostedShard): void {
    for (const cell of shard.cells.values()) {
      refuseAll(cell);
      // A journal has it; nothing is lost.
      if (cell.phase === 'loading') this.#miss(cell);
    }
  }

  /** What runs in the shard has no effect any more. */
  drop(shard: HostedShard): void {
    for (const cell of shard.cells.values()) {
      cell.phase = 'gone';
      this.#active--;
      const { current } = cell;
      cell.current = undefined;
      current?.fail(outcomeUnknown(cell.id, 'its node lost the shard while it ran'));
      refuseAll(cell);
    }
    shard.cells.clear();
  }

  loaded(cell: EntityCell, state: unknown): void {
    if (cell.phase !== 'loading') return;
    cell.state = state ?? this.#actions.initial(cell.id);
    cell.phase = 'idle';
    this.#pump(cell);
  }

  /** Its state could not be had: what waits for it is told, and the next message tries again. */
  loadFailed(cell: EntityCell, cause: unknown): void {
    if (cell.phase !== 'loading') return;
    this.#miss(cell);
    for (let message = cell.take(); message !== undefined; message = cell.take()) {
      message.fail(notDelivered(cell.id, 'its state cannot be loaded', cause));
    }
  }

  completed(cell: EntityCell, reply: unknown): void {
    const message = this.#finished(cell);
    if (message === undefined) return;
    this.answered++;
    cell.usedMs = this.#actions.now();
    cell.phase = 'idle';
    message.answer(reply);
    this.#goOn(cell);
  }

  failed(cell: EntityCell, error: unknown, then: AfterFailure): void {
    const message = this.#finished(cell);
    if (message === undefined) return;
    this.failures++;
    if (then === 'keep') {
      cell.phase = 'idle';
    } else if (then === 'stop') {
      this.#replace(cell);
    } else if (this.#options.journaled && cell.shard.phase !== 'running') {
      this.#miss(cell);
    } else if (this.#options.journaled) {
      cell.phase = 'loading';
      this.#actions.load(cell);
    } else {
      cell.state = this.#actions.initial(cell.id);
      cell.phase = 'idle';
    }
    message.fail(error);
    this.#goOn(cell);
  }

  /** A message for an entity of a shard that runs. */
  push(shard: HostedShard, message: Incoming): void {
    let cell = shard.cells.get(message.id);
    if (cell === undefined) {
      if (!this.#hasRoom()) {
        const reason = `${this.#options.maxActive} entities are in memory, all of them busy`;
        message.fail(notDelivered(message.id, reason));
        return;
      }
      cell = this.#addCell(shard, message.id);
    }
    if (cell.queued >= this.#options.mailboxCapacity) {
      message.fail(mailboxFull(message, this.#options.mailboxCapacity));
      return;
    }
    // Hardly any rests: the clock is asked for those only.
    if (cell.restUntilMs !== -Infinity && cell.restUntilMs > this.#actions.now()) {
      message.fail(resting(message.id));
      return;
    }
    cell.put(message);
    this.#pump(cell);
  }

  #addCell(shard: HostedShard, id: string, restored?: { readonly state: unknown }): EntityCell {
    const cell = new EntityCell(id, shard);
    cell.usedMs = this.#actions.now();
    shard.cells.set(id, cell);
    this.#active++;
    if (restored !== undefined) {
      cell.state = restored.state;
      cell.phase = 'idle';
    } else if (this.#options.journaled) {
      this.#actions.load(cell);
    } else {
      cell.state = this.#actions.initial(id);
      cell.phase = 'idle';
    }
    return cell;
  }

  #forget(cell: EntityCell): void {
    if (cell.shard.cells.get(cell.id) === cell) cell.shard.cells.delete(cell.id);
    cell.phase = 'gone';
    this.#active--;
  }

  /** Leaves memory for now; if it is to be there unasked, `recall` brings it back. */
  #miss(cell: EntityCell): void {
    this.#forget(cell);
    if (this.#options.remember) cell.shard.missing.add(cell.id);
  }

  /** A fresh cell of the same id takes over what waits. */
  #replace(cell: EntityCell): void {
    this.#forget(cell);
    if (cell.queued === 0 || cell.shard.phase !== 'running') return;
    const fresh = this.#addCell(cell.shard, cell.id);
    fresh.failures = cell.failures;
    fresh.restUntilMs = cell.restUntilMs;
    for (let message = cell.take(); message !== undefined; message = cell.take()) {
      fresh.put(message);
    }
    this.#pump(fresh);
  }

  /** Handles what waits, one after the other. */
  #pump(cell: EntityCell): void {
    if (cell.pumping) return;
    cell.pumping = true;
    while (cell.phase === 'idle' && cell.shard.phase === 'running' && cell.queued > 0) {
      if (!this.#live()) break;
      const message = cell.take()!;
      const now = this.#actions.now();
      if (isLate(message, now)) continue;
      if (cell.restUntilMs > now) {
        message.fail(resting(cell.id));
        continue;
      }
      cell.phase = 'busy';
      cell.current = message;
      cell.shard.busy++;
      this.#actions.run(cell, message);
    }
    cell.pumping = false;
  }

  /** The message whose handler ended, if anybody is to hear of it. */
  #finished(cell: EntityCell): Incoming | undefined {
    const { current, shard } = cell;
    if (cell.phase !== 'busy' || current === undefined) return undefined;
    // A handler that outlived the session may have worked beside another owner's.
    if (!this.#live()) return undefined;
    cell.current = undefined;
    shard.busy--;
    return current;
  }

  #goOn(cell: EntityCell): void {
    if (cell.shard.phase === 'running') this.#pump(cell);
    else this.#drained(cell.shard);
  }

  #hasRoom(): boolean {
    if (this.#active < this.#options.maxActive) return true;
    const idle: EntityCell[] = [];
    for (const shard of this.#shards.values()) {
      if (shard.phase !== 'running') continue;
      for (const cell of shard.cells.values()) if (isIdle(cell)) idle.push(cell);
    }
    idle.sort((a, b) => a.usedMs - b.usedMs);
    // Some at a time, since looking for them is dear.
    const excess = 1 + this.#active - this.#options.maxActive;
    const many = excess + Math.floor(this.#options.maxActive * EVICT_SHARE);
    for (const cell of idle.slice(0, many)) this.#forget(cell);
    return this.#active < this.#options.maxActive;
  }

  /** Idle entities leave memory. */
  passivate(usedBeforeMs: number): void {
    if (usedBeforeMs === -Infinity) return;
    for (const shard of this.#shards.values()) {
      if (shard.phase !== 'running') continue;
      for (const cell of shard.cells.values()) {
        if (cell.usedMs < usedBeforeMs && isIdle(cell)) this.#forget(cell);
      }
    }
  }
}

const EVICT_SHARE = 0.02;

/** Ends a message whose sender has given it up. */
export function isLate(message: Incoming, nowMs: number): boolean {
  if (message.deadlineMs > nowMs) return false;
  message.fail(notDelivered(message.id, 'it waited for its turn beyond its deadline'));
  return true;
}

function refuseAll(cell: EntityCell): void {
  for (let message = cell.take(); message !== undefined; message = cell.take()) message.refuse();
}

function isIdle(cell: EntityCell): boolean {
  return cell.phase === 'idle' && cell.queued === 0;
}

function mailboxFull({ id }: Incoming, limit: number): FlotillaError {
  const message = `${limit} messages wait for ${id}; one more was not taken`;
  return new FlotillaError('mailbox_full', message, { details: { entity: id, limit } });
}

function resting(id: string): FlotillaError {
  const message = `${id} failed too often and rests; nothing reached it`;
  return new FlotillaError('entity_stopped', message, { details: { entity: id } });
}
