// What a user writes of a kind of entity, with its messages typed from there to the sender's call.
// What is done with it is the runtime's.
import { invalidOption } from '../core/index.ts';
import { builtInStrategy } from './allocation.ts';
import { MAX_SHARDS, MAX_TYPE_LENGTH, SHARDING_DEFAULTS } from './defaults.ts';
import type { AllocationChoice, AllocationStrategy } from './allocation.ts';

/** What a handler is told beside its message. */
export interface EntityContext {
  readonly id: string;
  readonly node: string;
  readonly shard: number;
  /** That of the shard, at this moment: whatever the handler writes elsewhere is fenced by it. */
  readonly epoch: number;
}

/**
 * Changes the state in place; what it returns, or resolves to, is the answer. One message at a
 * time: the next one waits until the promise has settled. To refuse a message, throw a
 * `FlotillaError`: the sender gets it, and the entity is none the worse. Anything else that is
 * thrown is a failure.
 */
export type EntityHandler<S> = (state: S, argument: never, context: EntityContext) => unknown;

export type EntityHandlers<S> = Readonly<Record<string, EntityHandler<S>>>;

export interface EntityOptions {
  /** Fixed for the life of the type. @default 256 */
  readonly shards?: number;
  /**
   * Where shards are: `least-shards`, `least-load`, `pinned` with `pins`, `by-device` with
   * `devices`, or a strategy of the user's, which every node must then be given under the same
   * name. @default least-shards
   */
  readonly allocation?: AllocationChoice & {
    readonly strategy?: AllocationStrategy;
    /** This node's devices that serve the type at the moment; with none it hosts no shard. */
    readonly devices?: () => readonly string[];
  };
  /**
   * Whether an answer waits until the state is on the store's disk, so that it survives its node;
   * otherwise the state is lost with the node, and moves only when the shard is moved.
   * @default false
   */
  readonly durable?: boolean;
  /** Whether an entity is started again where its shard is recovered, unasked. @default false */
  readonly remember?: boolean;
  /** What becomes of an entity that failed. `keep` its state, or begin anew. @default restart */
  readonly onFailure?: 'keep' | 'restart' | 'stop';
  /** Failures within `restartWindowMs` after which it rests for that long. @default 10 */
  readonly maxRestarts?: number;
  /** @default 60 000 */
  readonly restartWindowMs?: number;
  /** Messages that may wait for one entity. @default 1024 */
  readonly mailboxCapacity?: number;
  /** Idle entities leave memory after this. @default 120 000 when durable, else never */
  readonly passivateAfterMs?: number;
  /** Most entities in a node's memory: those idle longest leave first. @default no limit */
  readonly maxActive?: number;
}

export interface EntityDefinition<S extends object, H extends EntityHandlers<S>>
  extends EntityOptions {
  /** The same on all nodes: letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  /** The state of an entity that nobody has asked before. Plain data, as MessagePack has it. */
  readonly initial: (id: string) => S;
  readonly handlers: H;
}

/** A kind of entity. */
export interface EntityType<
  S extends object = object,
  H extends EntityHandlers<S> = EntityHandlers<S>,
> extends Required<EntityOptions> {
  readonly name: string;
  readonly initial: (id: string) => S;
  readonly handlers: H;
}

/** Any kind: what the runtime works on. */
export type AnyEntityType = Omit<EntityType, 'initial' | 'handlers'> & {
  readonly initial: (id: string) => object;
  readonly handlers: Readonly<
    Record<string, (state: never, argument: never, context: EntityContext) => unknown>
  >;
};

type Argument<F> = F extends (state: never, argument: infer A, context: never) => unknown
  ? A
  : never;

/** Handlers that can do without an argument: their name alone is a message. */
export type PlainName<H> = {
  [K in keyof H]: undefined extends Argument<H[K]> ? K : never;
}[keyof H];

/** `{ add: 1 }`: the handler's name and its argument. */
export type MessageTo<H, K extends keyof H> = { readonly [P in K]: Argument<H[P]> };

export type ReplyOf<H, K extends keyof H> = H[K] extends (...args: never) => infer R
  ? Awaited<R>
  : never;

/** Checks a definition. Errors: `invalid_option`. */
export function defineEntity<S extends object, H extends EntityHandlers<S>>(
  definition: EntityDefinition<S, H>,
): EntityType<S, H> {
  const { durable = false, remember = false } = definition;
  const defaults = SHARDING_DEFAULTS;
  const type: EntityType<S, H> = {
    shards: defaults.shards,
    allocation: { name: 'least-shards' },
    durable,
    remember,
    onFailure: 'restart',
    maxRestarts: defaults.maxRestarts,
    restartWindowMs: defaults.restartWindowMs,
    mailboxCapacity: defaults.mailboxCapacity,
    // What is not in a journal would be lost, and what is remembered is to stay.
    passivateAfterMs: durable && !remember ? defaults.passivateAfterMs : Infinity,
    maxActive: Infinity,
    ...definition,
  };
  check(type);
  return Object.freeze(type);
}

/** Whether `defineEntity` made it, of this copy of the package or of another. */
export function isEntityType(value: unknown): value is AnyEntityType {
  const type = value as Partial<AnyEntityType> | null | undefined;
  if (typeof type !== 'object' || type === null || !isTypeName(type.name)) return false;
  return typeof type.initial === 'function' && typeof type.shards === 'number';
}

export function isTypeName(name: unknown): name is string {
  return typeof name === 'string' && name.length <= MAX_TYPE_LENGTH && /^[\w.-]+$/.test(name);
}

/** Errors: `invalid_option`. */
function check(type: AnyEntityType): void {
  const { name, shards, onFailure, initial, handlers } = type;
  if (!isTypeName(name)) {
    throw invalidOption('name', `1 to ${MAX_TYPE_LENGTH} letters, digits, ".", "_", "-"`, name);
  }
  if (!(Number.isInteger(shards) && shards >= 1 && shards <= MAX_SHARDS)) {
    throw invalidOption('shards', `an integer from 1 to ${MAX_SHARDS}`, shards);
  }
  for (const option of ['durable', 'remember'] as const) {
    if (typeof type[option] !== 'boolean') throw invalidOption(option, 'a boolean', type[option]);
  }
  if (!['keep', 'restart', 'stop'].includes(onFailure)) {
    throw invalidOption('onFailure', '"keep", "restart" or "stop"', onFailure);
  }
  const limits = ['maxRestarts', 'restartWindowMs', 'mailboxCapacity', 'maxActive'] as const;
  for (const option of [...limits, 'passivateAfterMs'] as const) {
    if (!(type[option] > 0)) throw invalidOption(option, 'above 0', type[option]);
  }
  if (typeof initial !== 'function') throw invalidOption('initial', 'a function', initial);
  const functions = Object.values(handlers);
  if (functions.length === 0 || functions.some((each) => typeof each !== 'function')) {
    throw invalidOption('handlers', 'functions by name, one at least', handlers);
  }
  checkAllocation(type);
}

function checkAllocation({ allocation, shards }: AnyEntityType): void {
  const { name, pins = {}, strategy } = allocation;
  if (strategy === undefined && builtInStrategy(allocation) === undefined) {
    throw invalidOption('allocation', 'built in, or a strategy of yours under its name', name);
  }
  for (const [shard, node] of Object.entries(pins)) {
    const isShard = String(Number(shard)) === shard && Number(shard) >= 0 && Number(shard) < shards;
    if (!isShard || !Number.isInteger(Number(shard)) || typeof node !== 'string') {
      throw invalidOption('allocation.pins', 'names of nodes by shard', `${shard}: ${node}`);
    }
  }
}
