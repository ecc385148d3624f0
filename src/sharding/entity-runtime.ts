// Runs the handlers of one type: calls them, tells failure from refusal, restarts by policy, and
// has the journal keep what is durable before anybody hears of it.
import { FlotillaError, hasCode, messageOf } from '../core/index.ts';
import { outcomeUnknown, SHARDING_ERRORS } from './errors.ts';
import { decodeState, encodeState } from './messages.ts';
import type { Clock, Logger } from '../core/index.ts';
import type { AnyEntityType, EntityContext } from './define-entity.ts';
import type { Entities, EntityActions } from './entities.ts';
import type { EntityCell } from './entity-cell.ts';
import type { Journal, ShardKey } from './journal.ts';
import type { Incoming } from './outgoing.ts';

export interface EntityRuntimeComponents {
  readonly type: AnyEntityType;
  readonly node: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Only for durable and remembered types. */
  readonly journal: Journal | undefined;
  readonly entities: () => Entities;
}

type Run = (state: unknown, argument: unknown, context: EntityContext) => unknown;

export class EntityRuntime implements EntityActions {
  readonly #components: EntityRuntimeComponents;
  readonly #handlers = new Map<string, Run>();
  readonly #durable: boolean;

  constructor(components: EntityRuntimeComponents) {
    this.#components = components;
    const { durable, handlers } = components.type;
    this.#durable = durable;
    for (const [name, run] of Object.entries(handlers)) this.#handlers.set(name, run as Run);
  }

  now(): number {
    return this.#components.clock.now();
  }

  initial(id: string): unknown {
    return this.#components.type.initial(id);
  }

  run(cell: EntityCell, message: Incoming): void {
    const handler = this.#handlers.get(message.handler);
    if (handler === undefined) {
      this.#entities.failed(cell, this.#unknown(message), 'keep');
      return;
    }
    cell.context ??= new CellContext(cell, this.#components.node);
    let reply: unknown;
    try {
      reply = handler(cell.state, message.argument, cell.context);
    } catch (error) {
      this.#failed(cell, message, error);
      return;
    }
    if (reply instanceof Promise) {
      reply.then(
        (settled) => this.#handled(cell, message, settled),
        (error) => this.#failed(cell, message, error),
      );
    } else {
      this.#handled(cell, message, reply);
    }
  }

  load(cell: EntityCell): void {
    void this.#load(cell);
  }

  get #entities(): Entities {
    return this.#components.entities();
  }

  async #load(cell: EntityCell): Promise<void> {
    const { journal, type } = this.#components;
    const key = keyOf(type.name, cell);
    try {
      const bytes = await journal!.load(key, cell.id);
      if (bytes === undefined && type.remember) await journal!.append(key, cell.id, NOTHING);
      if (!this.#durable || bytes === undefined || bytes.length === 0) {
        this.#entities.loaded(cell, undefined);
        return;
      }
      cell.saved = bytes;
      this.#entities.loaded(cell, decodeState(bytes));
    } catch (error) {
      this.#components.log.warn({ entity: cell.id, err: error }, 'an entity cannot be loaded');
      this.#entities.loadFailed(cell, error);
    }
  }

  #handled(cell: EntityCell, message: Incoming, reply: unknown): void {
    if (this.#durable && cell.phase !== 'gone') void this.#keep(cell, message, reply);
    else this.#entities.completed(cell, reply);
  }

  /** The answer waits for the disk. What only looked at the state writes nothing. */
  async #keep(cell: EntityCell, message: Incoming, reply: unknown): Promise<void> {
    const { journal, type, log } = this.#components;
    try {
      const state = encodeState(cell.state);
      if (cell.saved === undefined || Buffer.compare(cell.saved, state) !== 0) {
        // Without its saved form the entity is loaded anew, whatever became of the write.
        cell.saved = undefined;
        await journal!.append(keyOf(type.name, cell), cell.id, state);
        cell.saved = state;
      }
    } catch (error) {
      log.warn({ entity: cell.id, err: error }, `an entity was not kept: ${messageOf(error)}`);
      if (hasCode(error, ...NEVER_KEPT)) {
        this.#entities.failed(cell, error, 'restart');
        return;
      }
      const fenced = hasCode(error, 'epoch_stale');
      const reason = fenced ? 'another node has its shard' : 'its state may not be on disk';
      this.#entities.failed(cell, outcomeUnknown(message.id, reason, error), 'restart');
      return;
    }
    this.#entities.completed(cell, reply);
  }

  #failed(cell: EntityCell, message: Incoming, error: unknown): void {
    // Refused on purpose. What is durable is taken from the journal again: half a change may be in.
    if (isRefusal(error)) {
      this.#entities.failed(cell, error, this.#durable ? 'restart' : 'keep');
      return;
    }
    const { type, node, log, clock } = this.#components;
    const entity = cell.id;
    log.error(
      { type: type.name, entity, handler: message.handler, err: error },
      'an entity failed',
    );
    const text = `${message.handler} of ${type.name} ${entity} failed: ${messageOf(error)}`;
    const details = { type: type.name, entity, handler: message.handler, node };
    const failure = new FlotillaError('entity_failed', text, { details, cause: error });
    const now = clock.now();
    const recent = (cell.failures ?? []).filter((atMs) => now - atMs < type.restartWindowMs);
    recent.push(now);
    cell.failures = recent;
    if (recent.length > type.maxRestarts) cell.restUntilMs = now + type.restartWindowMs;
    this.#entities.failed(cell, failure, type.onFailure);
  }

  #unknown({ id, handler }: Incoming): FlotillaError {
    const { name } = this.#components.type;
    const known = [...this.#handlers.keys()];
    const message = `${name} has no handler "${handler.slice(0, 80)}", but ${known.join(', ')}`;
    return new FlotillaError('handler_unknown', message, { details: { entity: id, known } });
  }
}

/**
 * What says of a message that it did not arrive must not be said of one that did: such an error of
 * a message that the handler itself sent is a failure like any other.
 */
function isRefusal(error: unknown): boolean {
  return hasCode(error) && !(error.code in SHARDING_ERRORS);
}

/** What says of a state that it is not in the journal and never will be. */
const NEVER_KEPT = ['state_too_large', 'body_unencodable', 'message_too_large'];

/** What a remembered entity without a durable state has in the journal. */
const NOTHING = new Uint8Array(0);

function keyOf(type: string, { shard }: EntityCell): ShardKey {
  return { type, shard: shard.number, epoch: shard.epoch };
}

/** One for each cell, not for each message. */
class CellContext implements EntityContext {
  readonly id: string;
  readonly node: string;
  readonly #cell: EntityCell;

  constructor(cell: EntityCell, node: string) {
    this.#cell = cell;
    this.id = cell.id;
    this.node = node;
  }

  get shard(): number {
    return this.#cell.shard.number;
  }

  get epoch(): number {
    return this.#cell.shard.epoch;
  }
}
