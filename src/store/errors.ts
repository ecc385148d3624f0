// The errors that the store raises.
import type { ErrorCodes } from '../core/index.ts';

export const STORE_ERRORS = {
  store_unavailable:
    'The store cannot be reached or used; a write may or may not have happened (details.outcome).',
  store_corrupt: 'The store’s file is damaged, or was written by a newer version.',
  revision_compacted: 'A watch asked for a revision older than the store remembers; list again.',
  lease_lost: 'The lease has expired, was revoked or was given up for lost; get a new one.',
  epoch_stale: 'An effect came from an epoch that a later one has replaced; it was not applied.',
  key_invalid: 'A key is 1 to 512 bytes of text without control characters.',
  store_message_invalid: 'A node sent a store message that breaks the protocol.',
  value_too_large: 'A value, or all values of one transaction or answer, exceed the limit.',
} as const satisfies ErrorCodes;
