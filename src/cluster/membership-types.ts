// What goes into the membership machine and what comes out of it.
import type { Member, MemberMetadata, MemberStatus, MemberUpdate } from './member.ts';

/** Probes and rumours. Every message may carry updates. */
export type MembershipMessage =
  | {
      readonly type: 'ping';
      readonly seq: number;
      /** The sender's: whoever holds a graver account of it says so in the ack. */
      readonly incarnation: number;
      readonly updates: readonly MemberUpdate[];
    }
  | {
      /** Asks to probe `target` on the sender's behalf; answered with `ack` or `nack`. */
      readonly type: 'ping-request';
      readonly seq: number;
      readonly target: string;
      readonly updates: readonly MemberUpdate[];
    }
  | {
      readonly type: 'ack' | 'nack';
      readonly seq: number;
      readonly updates: readonly MemberUpdate[];
    }
  | { readonly type: 'gossip'; readonly updates: readonly MemberUpdate[] };

/** Times are monotonic milliseconds of one clock. */
export type MembershipEvent =
  | { readonly type: 'tick' }
  /** From an authenticated peer, checked by the driver's reader. */
  | { readonly type: 'message'; readonly from: string; readonly message: MembershipMessage }
  /** Anything heard from a peer counts as a probe that it answered. */
  | { readonly type: 'traffic'; readonly from: string }
  /** The link to a member broke: it is probed at once. */
  | { readonly type: 'disconnected'; readonly name: string }
  /** This event loop was late: others get the time back, and this node trusts itself less. */
  | { readonly type: 'stalled'; readonly forMs: number }
  /** The whole view of another member: the answer to a join or to an exchange, or its request. */
  | { readonly type: 'merge'; readonly from: string; readonly members: readonly Member[] }
  | { readonly type: 'declare'; readonly status: 'up' | 'leaving' | 'left' }
  /** New facts of this node itself. */
  | {
      readonly type: 'describe';
      readonly httpAddress?: string;
      readonly metadata?: MemberMetadata;
    };

export type MembershipEffect =
  | {
      readonly type: 'send';
      readonly to: string;
      readonly address: string;
      readonly message: MembershipMessage;
    }
  /** Swap whole views by RPC; the answer comes back as `merge`. */
  | { readonly type: 'exchange'; readonly with: string; readonly address: string }
  /** A member is new (`previous` undefined), or its status or record is another. In order. */
  | {
      readonly type: 'changed';
      readonly member: Member;
      readonly previous: MemberStatus | undefined;
    }
  /** A dead member is no longer listed: its time is over. Only its tombstone is kept. */
  | { readonly type: 'forgotten'; readonly member: Member };

export interface MembershipOptions {
  /** How often members are probed. Shorter finds failures sooner and costs messages. */
  readonly probeIntervalMs: number;
  /** Members probed in each interval. More find a failure sooner at the same interval. */
  readonly probesPerInterval: number;
  /** How long a probed member has before others are asked to probe it. Above the round trip. */
  readonly probeTimeoutMs: number;
  /** How many others are asked to probe a member that did not answer. */
  readonly indirectProbes: number;
  /**
   * A suspicion lasts at least this many probe intervals times max(1, log10 n): the time in which
   * a live member can refute it.
   */
  readonly suspicionMultiplier: number;
  /** And at least this long, whatever the interval: longer than a stall that has to be survived. */
  readonly suspicionFloorMs: number;
  /** An unconfirmed suspicion lasts this many times as long. */
  readonly suspicionMaxMultiplier: number;
  /** Confirmations by others that shorten a suspicion to its minimum. */
  readonly suspicionConfirmations: number;
  /** Highest awareness score; timeouts are stretched by up to one more than it. */
  readonly maxAwareness: number;
  /** How often news is gossiped while there is any. */
  readonly gossipIntervalMs: number;
  /** To how many members. */
  readonly gossipMembers: number;
  /** News is sent this many times log10(n + 1). */
  readonly retransmitMultiplier: number;
  /** News in one message, bytes. */
  readonly maxGossipBytes: number;
  /** How often a member without news speaks all the same: a sign of life. */
  readonly beatIntervalMs: number;
  /** How often whole views are exchanged with one member; mends what gossip missed. */
  readonly exchangeIntervalMs: number;
  /** How often one dead member is tried again, so that a healed partition grows together. */
  readonly reconnectIntervalMs: number;
  /** How late the event loop must be for it to count as a stall. */
  readonly stallMs: number;
  /** How long a dead member stays listed, and then its tombstone. Longer than any message lives. */
  readonly deadKeptMs: number;
  /** Members that one fleet may list; more are not let in. */
  readonly maxMembers: number;
  /** Dead, left and forgotten members that are remembered; the oldest give way. */
  readonly maxTombstones: number;
  /** Probes under way for this node, and as many on behalf of others. */
  readonly maxPendingProbes: number;
}
