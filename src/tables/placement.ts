// Decides which node owns each shard of a table: even to within one shard, near the ring's own
// choice, and moving no shard that can stay. Pure; `TableService` records and carries out what it
// says.
import { invalidOption } from '../core/index.ts';
import { HashRing } from '../ring/index.ts';

export interface PlacementRequest {
  /** Part of the ring keys, so that tables of few shards do not all start at the same node. */
  readonly table: string;
  readonly shards: number;
  /** Nodes that may own shards; order does not matter. */
  readonly members: readonly string[];
  /** Owner of each shard so far. */
  readonly previous?: readonly string[];
}

export interface ShardMovement {
  readonly shard: number;
  readonly from: string;
  readonly to: string;
}

/**
 * The owner of each shard. A shard stays with its previous owner unless that is gone or above its
 * quota; the others go to the first member clockwise on the ring that has room. With S shards on M
 * members, S mod M members own ⌈S/M⌉ and the rest ⌊S/M⌋, so a member that comes takes at most the
 * ideal share, and one that goes gives away only its own.
 */
export function placeShards(request: PlacementRequest): string[] {
  const { table, shards, previous } = request;
  const members = [...new Set(request.members)].sort();
  if (members.length === 0) throw invalidOption('members', 'a list of at least one node', '[]');
  if (previous !== undefined && previous.length !== shards) {
    throw invalidOption('previous', `one owner for each of ${shards} shards`, previous.length);
  }
  const ring = new HashRing();
  for (const member of members) ring.addNode(member);
  const keyOf = (shard: number) => `${table}/${shard}`;
  const room = new Quotas(shards, members, previous ?? []);
  const owners = new Array<string | undefined>(shards).fill(undefined);
  if (previous !== undefined) {
    // First the shards that the ring would put there anyway, so that those shed are the strangers.
    for (const atHome of [true, false]) {
      for (let shard = 0; shard < shards; shard++) {
        const owner = previous[shard]!;
        if (owners[shard] !== undefined || (atHome && ring.getNode(keyOf(shard)) !== owner))
          continue;
        if (room.take(owner)) owners[shard] = owner;
      }
    }
  }
  return owners.map((owner, shard) => {
    if (owner !== undefined) return owner;
    const chosen = ring.walk(keyOf(shard), (member) => room.has(member)) ?? members[0]!;
    room.take(chosen);
    return chosen;
  });
}

/** What changes owner between two placements of the same shards. */
export function movementPlan(
  previous: readonly string[],
  next: readonly string[],
): ShardMovement[] {
  if (previous.length !== next.length) {
    throw invalidOption('next', `a placement of ${previous.length} shards`, next.length);
  }
  const moves: ShardMovement[] = [];
  for (const [shard, from] of previous.entries()) {
    const to = next[shard]!;
    if (from !== to) moves.push({ shard, from, to });
  }
  return moves;
}

/** How many shards each member may still take. */
class Quotas {
  readonly #floor: number;
  readonly #taken = new Map<string, number>();
  /** Members that may hold one more than the floor. Those that hold the most so far come first. */
  #extras: number;
  readonly #entitled = new Set<string>();

  constructor(shards: number, members: readonly string[], previous: readonly string[]) {
    this.#floor = Math.floor(shards / members.length);
    this.#extras = shards % members.length;
    for (const member of members) this.#taken.set(member, 0);
    const held = new Map<string, number>();
    for (const owner of previous) held.set(owner, (held.get(owner) ?? 0) + 1);
    const above = members
      .filter((member) => (held.get(member) ?? 0) > this.#floor)
      .sort((a, b) => held.get(b)! - held.get(a)!)
      .slice(0, this.#extras);
    for (const member of above) this.#entitled.add(member);
    this.#extras -= this.#entitled.size;
  }

  has(member: string): boolean {
    const taken = this.#taken.get(member);
    if (taken === undefined || taken > this.#floor) return false;
    return taken < this.#floor || this.#entitled.has(member) || this.#extras > 0;
  }

  take(member: string): boolean {
    if (!this.has(member)) return false;
    const taken = this.#taken.get(member)!;
    if (taken === this.#floor && !this.#entitled.has(member)) this.#extras--;
    this.#taken.set(member, taken + 1);
    return true;
  }
}
