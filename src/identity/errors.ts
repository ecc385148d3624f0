// The errors that identity raises.
import type { ErrorCodes } from '../core/index.ts';

export const IDENTITY_ERRORS = {
  directory_not_writable: 'A directory that must be written to cannot be; the message names it.',
  authority_missing: 'The directory holds no cluster CA: it is not the founding node’s.',
  authority_corrupt: 'The file with the cluster CA cannot be used; restore it from a backup.',
  credentials_corrupt: 'The file with the node’s key and certificate cannot be used; join again.',
  name_invalid: 'A node name is 1 to 63 of a-z, 0-9, dot and hyphen, and no IP address.',
  name_taken: 'The name belongs to another node; the message says when it can be had.',
  name_unknown: 'No certificate was ever issued for the name.',
  csr_invalid: 'The certificate request is not one for a P-256 key signed by that key.',
  certificate_untrusted: 'A certificate was not issued by this cluster’s CA, or is not valid now.',
  certificate_expired: 'The certificate of this node has expired; join again with a new token.',
  certificate_revoked: 'The certificate was revoked; the name needs a new key and a new token.',
  revocation_refused: 'The node that holds the CA cannot be revoked.',
  revocations_invalid: 'A list of revocations was not signed by this cluster’s CA, or is damaged.',
  token_malformed: 'The text is not a join token (flt1.<ca>.<id>.<secret>).',
  token_refused: 'The join token is wrong, expired, used up or revoked; which, is not said.',
} as const satisfies ErrorCodes;
