// The journal of a simulated fleet: on a machine that does not fail, behind a way that does.
import { FlotillaError } from '../../../src/core/index.ts';
import { EpochFence } from '../../../src/store/index.ts';
import type { Prng } from '../../../src/core/index.ts';
import type { Journal, ShardKey } from '../../../src/sharding/index.ts';
import type { Process, World } from '../../sim/world.ts';
import type { Step } from './steps.ts';

export class JournalServer {
  readonly #fenced: boolean;
  readonly #shards = new Map<string, { fence: EpochFence; states: Map<string, Uint8Array> }>();
  readonly counters = { appended: 0, loaded: 0, refused: 0 };

  /** `fenced` false leaves the fence out: a bug on purpose. */
  constructor(fenced: boolean) {
    this.#fenced = fenced;
  }

  at(key: ShardKey): Map<string, Uint8Array> {
    const name = `${key.type}/${key.shard}`;
    let shard = this.#shards.get(name);
    if (shard === undefined) {
      shard = { fence: new EpochFence(), states: new Map() };
      this.#shards.set(name, shard);
    }
    try {
      if (this.#fenced) shard.fence.admit(key.epoch);
    } catch (error) {
      this.counters.refused++;
      throw error;
    }
    return shard.states;
  }

  /** What is kept of an entity. */
  state(type: string, id: string): Uint8Array | undefined {
    for (const [name, { states }] of this.#shards) {
      const state = name.startsWith(`${type}/`) ? states.get(id) : undefined;
      if (state !== undefined) return state;
    }
    return undefined;
  }
}

export interface JournalConditions {
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly onStep?: (step: Step) => void;
  /** Changes while the simulation runs. */
  readonly faults: {
    /** The probability that a request or its answer is lost. */
    readonly failure: number;
    /** … that a request is late by up to `lateMs`, and all behind it. */
    readonly late: number;
    readonly lateMs: number;
  };
}

/** Calls arrive in order; they or their answers may be lost. */
export class JournalClient implements Journal {
  readonly #world: World;
  readonly #process: Process;
  readonly #server: JournalServer;
  readonly #prng: Prng;
  readonly #conditions: JournalConditions;
  #lastAtMs = 0;

  constructor(
    components: { world: World; process: Process; server: JournalServer; prng: Prng },
    conditions: JournalConditions,
  ) {
    this.#world = components.world;
    this.#process = components.process;
    this.#server = components.server;
    this.#prng = components.prng;
    this.#conditions = conditions;
  }

  async open(key: ShardKey): Promise<readonly string[]> {
    const { onStep } = this.#conditions;
    onStep?.('open sent');
    const ids = await this.#call(() => {
      onStep?.('open taken');
      return [...this.#server.at(key).keys()];
    });
    onStep?.('open answered');
    return ids;
  }

  load(key: ShardKey, id: string): Promise<Uint8Array | undefined> {
    return this.#call(() => {
      this.#server.counters.loaded++;
      return this.#server.at(key).get(id);
    });
  }

  append(key: ShardKey, id: string, state: Uint8Array): Promise<void> {
    return this.#call(() => {
      this.#server.at(key).set(id, state);
      this.#server.counters.appended++;
    });
  }

  #call<T>(effect: () => T): Promise<T> {
    const world = this.#world;
    const { delayMs, jitterMs, faults } = this.#conditions;
    const { failure, late, lateMs } = faults;
    world.unsettle();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const answer = (outcome: () => void) => {
      world.at(delayMs + jitterMs * this.#prng.next(), this.#process, () => {
        world.unsettle();
        outcome();
      });
    };
    const lateness = late > 0 && this.#prng.next() < late ? lateMs * this.#prng.next() : 0;
    const wayMs = delayMs + jitterMs * this.#prng.next() + lateness;
    this.#lastAtMs = Math.max(this.#lastAtMs, world.now + wayMs);
    world.at(this.#lastAtMs - world.now, undefined, () => {
      const lost = this.#prng.next() < failure;
      if (lost && this.#prng.int(2) === 0) return answer(() => reject(unavailable()));
      let outcome: () => void;
      try {
        const value = effect();
        outcome = () => resolve(value);
      } catch (error) {
        outcome = () => reject(error);
      }
      answer(lost ? () => reject(unavailable()) : outcome);
    });
    return promise;
  }
}

function unavailable(): FlotillaError {
  return new FlotillaError('peer_disconnected', 'the journal cannot be reached');
}
