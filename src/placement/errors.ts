import type { ErrorCodes } from '../core/index.ts';

export const PLACEMENT_ERRORS = {
  region_id_invalid: 'The id of a region over devices breaks its rule; the message has both.',
  region_conflict: 'The region over devices exists for other devices than were asked for.',
} as const satisfies ErrorCodes;
