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
  type_unknown: 'The node that was asked does not host entities of this type.',
  type_conflict: 'The type is defined differently elsewhere: the fixed number of shards differs.',
  shard_moved: 'The shard is not at this node, or on its way; the sender’s region tries again.',
  shard_not_owned: 'A node acted on a shard that is not its own at that epoch.',
  shard_message_invalid: 'A node sent a sharding message that breaks the protocol.',
  state_too_large: 'The state of a durable entity is too large to be kept; its last one stays.',
  journal_unavailable: 'The journal of durable entities cannot be written; its node’s log has why.',
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

/** For a node that speaks of a shard as its owner. */
export function notOwned(
  node: string,
  { type, shard, epoch }: { readonly type: string; readonly shard: number; readonly epoch: number },
): FlotillaError {
  const message = `${node} does not own shard ${shard} of ${type} at epoch ${epoch}`;
  return new FlotillaError('shard_not_owned', message, { details: { node, type, shard, epoch } });
}

/** For the sender: the entity is as it was before. */
export function stateTooLarge(id: string, bytes: number, limit: number): FlotillaError {
  const message = `the state of ${id} has ${bytes} bytes, over ${limit}`;
  return new FlotillaError('state_too_large', message, { details: { entity: id, bytes, limit } });
}

export function shardsDiffer(type: string, known: number, shards: number): FlotillaError {
  const message = `the type ${type} has ${known} shards in this fleet, not ${shards}`;
  return new FlotillaError('type_conflict', message, { details: { type, known, shards } });
}
