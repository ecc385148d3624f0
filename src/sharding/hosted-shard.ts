// One shard at its owner: the epoch that it runs at, how far a handoff is, its entities.
import type { EntityCell } from './entity-cell.ts';
import type { Incoming } from './outgoing.ts';
import type { Session } from './shard-table.ts';

export const SHARD_PHASES = [
  /** Granted; what it needs before it runs is on the way. Messages wait here. */
  'opening',
  'running',
  /** Frozen; handlers that run come to their end. Messages are refused, from here on. */
  'draining',
  /** What it holds is on the way to its next owner. */
  'handing',
  /** That has it. */
  'released',
] as const;

export type ShardPhase = (typeof SHARD_PHASES)[number];

export class HostedShard {
  readonly number: number;
  epoch: number;
  phase: ShardPhase = 'opening';
  readonly cells = new Map<string, EntityCell>();
  /** Entities that shall run, but could not be loaded. */
  readonly missing = new Set<string>();
  /** Cells with a handler that runs. */
  busy = 0;
  /** Messages that came while it was opening. */
  parked: Incoming[] = [];
  /** Where a handoff takes it. */
  target: Session | undefined;

  constructor(number: number, epoch: number) {
    this.number = number;
    this.epoch = epoch;
  }
}
