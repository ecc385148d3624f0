import type { ErrorCodes } from '../core/index.ts';

export const CLUSTER_ERRORS = {
  no_healthy_member: 'No member of the cluster is healthy, so the key has nowhere to go.',
  join_refused: 'The seed refused the join; the message says why.',
  member_invalid: 'A member record breaks a rule; the message names the field.',
} as const satisfies ErrorCodes;
