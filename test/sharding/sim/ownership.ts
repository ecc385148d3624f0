// What follows from each table that is written: epochs grow by one, a drained node gets nothing, a
// shard does not come back where it just left, and what entities hold in memory is lost with its
// node only.
import { SHARDING_DEFAULTS } from '../../../src/sharding/defaults.ts';
import { sessionKey } from '../../../src/sharding/ownership-view.ts';
import type { ShardTable } from '../../../src/sharding/shard-table.ts';
import type { StoreServer } from '../../sim/store-server.ts';
import type { Sent } from './judge.ts';

export interface At {
  readonly shard: number;
  readonly epoch: number;
}

type Violate = (invariant: string, details: string) => void;

interface Known {
  table: ShardTable;
  /** Of each shard, the nodes that it left since the members were others. */
  readonly left: Set<string>[];
  /** … and for which members its move was begun, in full knowledge of them. */
  readonly movesFor: number[];
  /** Of each shard, the epoch at which it began with nothing in memory. */
  readonly began: number[];
  /** … and those at which it may have, since its owner missed an epoch. */
  readonly mayHaveBegun: number[][];
}

const PROMPT_MS = 500;

export class Ownership {
  /** Nodes that were told to be drained. */
  readonly empty = new Set<string>();
  readonly #server: StoreServer;
  readonly #violate: Violate;
  readonly #types = new Map<string, Known>();
  /** By life and type, the epochs that it heard of last. */
  readonly #heard = new Map<string, number[]>();
  /** By entity of the type in memory, where its messages were handled to their end. */
  readonly #handled = new Map<string, number[]>();
  /** How often a shard changed its owner as planned, and because that was gone. */
  moves = 0;
  lost = 0;
  /** How often a node was told that it has nothing any more. */
  drained = 0;

  /** Whether a change is known to all within `PROMPT_MS`. */
  prompt = false;
  #changedMs = 0;
  /** Counts their changes. */
  #members = 0;
  readonly #now: () => number;

  constructor(server: StoreServer, now: () => number, violate: Violate) {
    this.#server = server;
    this.#now = now;
    this.#violate = violate;
  }

  written(type: string, table: ShardTable): void {
    let known = this.#types.get(type);
    if (known === undefined) {
      known = {
        table: table.map(() => ({ owner: '', session: 0, epoch: 0 })),
        left: table.map(() => new Set()),
        movesFor: table.map(() => -1),
        began: table.map(() => 0),
        mayHaveBegun: table.map(() => []),
      };
      this.#types.set(type, known);
    }
    for (const shard of table.keys()) this.#step(type, known, { table, shard });
    known.table = table;
    const moving = table.filter(({ move }) => move !== undefined).length;
    const most = Math.max(1, Math.floor(table.length * SHARDING_DEFAULTS.rebalanceShare));
    if (moving > most) this.#violate('few shards move at once', `${type}: ${moving}`);
    this.checkEmpty();
  }

  /** A session or a region came or went: shards may have to move again. */
  membersChanged(): void {
    this.#changedMs = this.#now();
    this.#members++;
    for (const { left } of this.#types.values()) for (const nodes of left) nodes.clear();
  }

  /** This life knows of the table. */
  heard(life: string, type: string, table: ShardTable): void {
    const key = `${life} ${type}`;
    const before = this.#heard.get(key) ?? [];
    const node = life.slice(0, life.indexOf('.'));
    for (const [shard, { owner, epoch }] of table.entries()) {
      const last = before[shard] ?? epoch;
      if (owner === node && epoch > last + 1) {
        this.#types.get(type)?.mayHaveBegun[shard]?.push(epoch);
      }
    }
    const epochs = table.map(({ epoch }, shard) => Math.max(epoch, before[shard] ?? 0));
    this.#heard.set(key, epochs);
  }

  /** A handler of the type in memory ended; it had begun there. */
  handled({ type, entity }: Sent, { epoch }: At): void {
    const key = `${type}/${entity}`;
    const epochs = this.#handled.get(key) ?? [];
    epochs.push(epoch);
    this.#handled.set(key, epochs);
  }

  /** An entity remembers `count` messages when the next one begins. */
  holds({ number, type, entity }: Sent, count: number, { shard, epoch }: At): void {
    const known = this.#types.get(type);
    if (known === undefined) return;
    const handled = this.#handled.get(`${type}/${entity}`) ?? [];
    const since = (first: number) => handled.filter((at) => at >= first && at <= epoch).length;
    const began = known.began[shard]!;
    if (count === since(began)) return;
    const may = known.mayHaveBegun[shard]!.filter((at) => at > began && at <= epoch);
    if (may.some((at) => count === since(at))) return;
    const details = `${type}/${entity} has ${count} of ${since(began)} at message ${number}`;
    this.#violate('what entities hold in memory goes along', details);
  }

  /** The node says that it has nothing, and is to get nothing. */
  drains(node: string): void {
    this.drained++;
    this.empty.add(node);
    this.checkEmpty();
  }

  checkEmpty(): void {
    for (const node of this.empty) {
      const session = this.#server.entry(sessionKey(node))?.revision;
      for (const [type, { table }] of this.#types) {
        for (const [shard, { owner, session: at, move }] of table.entries()) {
          const has = (owner === node && at === session) || move?.node === node;
          if (has) this.#violate('a drained node has nothing', `${type} shard ${shard} at ${node}`);
        }
      }
    }
  }

  #step(type: string, known: Known, { table, shard }: { table: ShardTable; shard: number }): void {
    const before = known.table[shard]!;
    const { owner, epoch, move } = table[shard]!;
    const where = `${type} shard ${shard}`;
    if (move !== undefined && before.move === undefined) {
      const informed = this.prompt && this.#now() - this.#changedMs >= PROMPT_MS;
      known.movesFor[shard] = informed ? this.#members : -1;
    }
    if (epoch === before.epoch) {
      if (owner !== before.owner) this.#violate('epochs grow with owners', where);
      return;
    }
    if (epoch !== before.epoch + 1) {
      this.#violate('epochs grow by one', `${where}: ${epoch} after ${before.epoch}`);
    }
    const lived = this.#server.entry(sessionKey(before.owner))?.revision === before.session;
    if (!lived) {
      if (before.owner !== '') this.lost++;
      // What the last owner had handed over already is there.
      if (before.move?.node === owner) known.mayHaveBegun[shard]!.push(epoch);
      else known.began[shard] = epoch;
      return;
    }
    if (owner === before.owner) return;
    this.moves++;
    const left = known.left[shard]!;
    if (known.movesFor[shard] !== this.#members) return;
    if (left.has(owner)) {
      this.#violate('shards do not come back', `${where}: ${owner} again, at ${epoch}`);
    }
    left.add(before.owner);
  }
}
