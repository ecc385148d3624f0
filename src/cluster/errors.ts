import type { ErrorCodes } from '../core/index.ts';

export const CLUSTER_ERRORS = {
  no_healthy_member: 'No member of the cluster is healthy, so the key has nowhere to go.',
  join_refused: 'The seed refused the join; the message says why.',
  member_invalid: 'A member record breaks a rule; the message names the field.',
  metadata_too_large: 'The metadata of a member is larger than gossip carries.',
  name_conflict: 'A live member elsewhere has the name; stop it, or take another name.',
} as const satisfies ErrorCodes;
