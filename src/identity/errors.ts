// The errors that identity raises.
import type { ErrorCodes } from '../core/index.ts';

export const IDENTITY_ERRORS = {
  directory_not_writable: 'A directory that must be written to cannot be; the message names it.',
  authority_missing: 'The directory holds no cluster CA: it is not the founding node’s.',
  authority_corrupt: 'The file with the cluster CA cannot be used; restore it from a backup.',
  credentials_corrupt: 'The file with the node’s key and certificate cannot be used; join again.',
  name_invalid: 'A node name is 1 to 63 of a-z, 0-9, dot and hyphen, and no IP address.',
  name_taken: 'The name has a certificate for another key; only a new join token replaces it.',
  csr_invalid: 'The certificate request is not one for a P-256 key signed by that key.',
  certificate_untrusted: 'A certificate was not issued by this cluster’s CA, or is not valid now.',
  token_malformed: 'The text is not a join token (flt1.<ca>.<id>.<secret>).',
  token_refused: 'The join token is wrong, expired, used up or revoked; which, is not said.',
} as const satisfies ErrorCodes;
