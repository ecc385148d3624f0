// What can go wrong between two nodes that talk.
import { FlotillaError } from '../core/index.ts';
import type { ErrorCodes } from '../core/index.ts';

export const PEER_ERRORS = {
  peer_disconnected: 'The connection to a node ended while something waited on it.',
  unknown_procedure: 'The node that was called has no such procedure.',
  handler_failed:
    'The procedure failed unexpectedly; the log of the node that ran it has the cause.',
  protocol_version: 'Two nodes share no version of the protocol.',
  lane_full: 'A lane takes no more at the moment; the sender has to slow down or retry later.',
  channel_removed: 'A channel was removed at this end or the other; nothing passes through it.',
  memory_too_small:
    'A message is longer than the memory that its receiver brought; the next receiver gets it.',
  relay_unreachable:
    'A relayed message found no way to its target: no link, no receiver, or too many hops.',
  connection_duplicate: 'Two nodes dialled each other at once; the other connection stays.',
} as const satisfies ErrorCodes;

/** `peer_disconnected`, with why. */
export function disconnected(peer: string, cause: FlotillaError): FlotillaError {
  return new FlotillaError('peer_disconnected', `${peer} disconnected: ${cause.message}`, {
    details: { peer },
    cause,
  });
}

export function laneFull(peer: string, lane: string, limit: number): FlotillaError {
  const message = `the ${lane} lane to ${peer} is full (${limit})`;
  return new FlotillaError('lane_full', message, { details: { peer, lane, limit } });
}

export function relayUnreachable(target: string, reason: string): FlotillaError {
  const message = `nothing can be relayed to ${target}: ${reason}`;
  return new FlotillaError('relay_unreachable', message, { details: { target, reason } });
}
