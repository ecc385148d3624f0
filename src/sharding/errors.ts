// What can go wrong between a sender and an entity.
import { FlotillaError } from '../core/index.ts';
import type { ErrorCodes } from '../core/index.ts';

export const SHARDING_ERRORS = {
  not_delivered: 'The message did not reach the entity and never will; nothing has happened.',
  outcome_unknown: 'The message was on its way: whether the entity handled it is not known.',
  buffer_full: 'Too many messages wait for the shard’s owner, or at it; this one was not taken.',
  mailbox_full: 'Too many messages wait for the entity; this one was not taken.',
  entity_failed: 'The entity’s handler failed; its node’s log has the cause.',
  entity_stopped: 'The entity failed too often in a short time and rests.',
  handler_unknown: 'The entity has no handler of this name.',
  entity_id_invalid: 'An entity’s id is 1 to 1024 characters of well-formed text.',
  type_unknown: 'No node of the fleet hosts entities of this type.',
  type_conflict: 'The type is defined differently elsewhere: the fixed number of shards differs.',
  shard_moved: 'The shard is not at this node, or on its way; the sender’s region tries again.',
  shard_message_invalid: 'A node sent a sharding message that breaks the protocol.',
  journal_corrupt: 'A journal is damaged before its end; the message names file and place.',
} as const satisfies ErrorCodes;

/** For the sender: nothing has happened. */
export function notDelivered(id: string, reason: string, cause?: unknown): FlotillaError {
  const options = { details: { entity: id, reason }, cause };
  return new FlotillaError('not_delivered', `nothing reached ${id}: ${reason}`, options);
}

/** For the sender: it may have happened. */
export function outcomeUnknown(id: string, reason: string, cause?: unknown): FlotillaError {
  const options = { details: { entity: id, reason }, cause };
  return new FlotillaError('outcome_unknown', `${id} may have heard it: ${reason}`, options);
}

/** For the sender: nothing has happened, since `limit` messages wait already. */
export function bufferFull(
  { id, shard }: { readonly id: string; readonly shard: number },
  limit: number,
): FlotillaError {
  const message = `${limit} messages wait already; the one for ${id} was not taken`;
  return new FlotillaError('buffer_full', message, { details: { entity: id, shard, limit } });
}

/** For a region: the message was not handled here, send it to the owner. */
export function shardMoved(shard: number): FlotillaError {
  return new FlotillaError('shard_moved', `shard ${shard} is not here`, { details: { shard } });
}
