// What the store says about shards, as far as this node has heard: sessions, the coordinator, the
// regions and the tables. Pure; who fills it is `StoreFollower`.
import { z } from 'zod';
import { decodeTable, parseRecord } from './shard-table.ts';
import type { Entry, StoreEvent } from '../store/index.ts';
import type { ShardTable } from './shard-table.ts';

/** Everything below it belongs to sharding. */
export const PREFIX = 'sharding/';
export const COORDINATOR_KEY = 'sharding/coordinator';
const NODES = 'sharding/nodes/';
const REGIONS = 'sharding/regions/';
const TABLES = 'sharding/tables/';

/** Where a node's session lies: under its lease, so it is gone when the node is. */
export const sessionKey = (node: string) => NODES + node;
export const regionKey = (type: string, node: string) => `${REGIONS}${type}/${node}`;
export const tableKey = (type: string) => TABLES + type;

const REGION = z.object({
  session: z.int().nonnegative(),
  shards: z.int().positive(),
  draining: z.boolean(),
  allocation: z.object({
    name: z.string(),
    pins: z.record(z.string(), z.string()).optional(),
    devices: z.array(z.string()).optional(),
  }),
});

/** What a node says of its end of a type. It counts only while that session lives. */
export type RegionRecord = z.output<typeof REGION>;

export interface KnownTable {
  readonly revision: number;
  readonly entries: ShardTable;
}

const LEADER = z.object({ name: z.string() });

export class OwnershipView {
  /** Revisions of the living sessions by node. */
  readonly sessions = new Map<string, number>();
  /** By type, then by node. */
  readonly regions = new Map<string, Map<string, RegionRecord>>();
  readonly tables = new Map<string, KnownTable>();
  /** Who was elected to coordinate, and in which term. */
  leader: { readonly name: string; readonly term: number } | undefined;
  /** Of each key, the revision of what is known of it. */
  readonly #revisions = new Map<string, number>();

  /** Takes a whole listing, read at `revision` or later: what it lacks is gone. */
  reset(entries: readonly Entry[], revision: number): void {
    const listed = new Set(entries.map(({ key }) => key));
    for (const key of [...this.#revisions.keys()]) {
      if (!listed.has(key)) this.apply({ type: 'delete', key, revision });
    }
    for (const { key, value, revision: at } of entries) {
      this.apply({ type: 'put', key, value, revision: at });
    }
  }

  /** Takes one change; older ones than what is known do nothing. False when nothing changed. */
  apply({ type, key, value, revision }: StoreEvent): boolean {
    const known = this.#revisions.get(key);
    if (known !== undefined && revision <= known) return false;
    if (type === 'put' && value !== undefined) {
      this.#revisions.set(key, revision);
      this.#put(key, value, revision);
      return true;
    }
    if (known === undefined) return false;
    this.#revisions.delete(key);
    this.#delete(key);
    return true;
  }

  /** The revision of what is known of a key; 0 for none. */
  revisionOf(key: string): number {
    return this.#revisions.get(key) ?? 0;
  }

  /** True while `session` is the living one of `node`. */
  lives(node: string, session: number): boolean {
    return node !== '' && this.sessions.get(node) === session;
  }

  #put(key: string, value: Uint8Array, revision: number): void {
    if (key.startsWith(NODES)) {
      this.sessions.set(key.slice(NODES.length), revision);
    } else if (key.startsWith(TABLES)) {
      this.tables.set(key.slice(TABLES.length), { revision, entries: decodeTable(value) });
    } else if (key.startsWith(REGIONS)) {
      const [type, node] = partsOf(key);
      let nodes = this.regions.get(type);
      if (nodes === undefined) {
        nodes = new Map();
        this.regions.set(type, nodes);
      }
      nodes.set(node, parseRecord(REGION, value));
    } else if (key === COORDINATOR_KEY) {
      this.leader = { name: parseRecord(LEADER, value).name, term: revision };
    }
  }

  #delete(key: string): void {
    if (key.startsWith(NODES)) {
      this.sessions.delete(key.slice(NODES.length));
    } else if (key.startsWith(TABLES)) {
      this.tables.delete(key.slice(TABLES.length));
    } else if (key.startsWith(REGIONS)) {
      const [type, node] = partsOf(key);
      const nodes = this.regions.get(type);
      nodes?.delete(node);
      if (nodes?.size === 0) this.regions.delete(type);
    } else if (key === COORDINATOR_KEY) {
      this.leader = undefined;
    }
  }
}

/** Types have no slash in their names; nodes neither. */
function partsOf(key: string): [type: string, node: string] {
  const at = key.indexOf('/', REGIONS.length);
  return [key.slice(REGIONS.length, at), key.slice(at + 1)];
}
