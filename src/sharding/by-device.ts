// Where shards go that devices serve: each to the device that wants it most, of all that the nodes
// have. So a shard finds the same device after a restart, and a device that comes or goes moves its
// own share only (rendezvous hashing; Thaler and Ravishankar, 1998).
import { shardWeight } from '../devices/index.ts';
import type { AllocationStrategy, AllocationView, Move } from './allocation.ts';

/** A node that does not say which devices it has counts as one. */
function homeOf(shard: number, { candidates }: AllocationView): string {
  let best = '';
  let most = -1;
  for (const { node, devices = [node] } of candidates) {
    for (const address of devices) {
      const weight = shardWeight(shard, address);
      if (weight > most) [best, most] = [node, weight];
    }
  }
  return best;
}

/** Shards of a node go to that of its devices which `deviceOfShard` names: it is the same one. */
export const byDevice: AllocationStrategy = {
  isExact: true,

  allocate: (shard, view) => homeOf(shard, view),

  rebalance(view, limit) {
    const moves: Move[] = [];
    for (let shard = 0; shard < view.shards && moves.length < limit; shard++) {
      const owner = view.ownerOf(shard);
      if (owner === undefined || !view.mayMove(shard)) continue;
      const to = homeOf(shard, view);
      if (to !== owner) moves.push({ shard, to });
    }
    return moves;
  },
};
