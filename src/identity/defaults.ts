// Every literal and limit of identity: lifetimes, sizes, file names.

/** How long a node's certificate is valid. @default 90 days */
export const CERTIFICATE_VALIDITY_MS = 90 * 24 * 60 * 60 * 1000;

/** How long the cluster CA is valid. @default 10 years */
export const AUTHORITY_VALIDITY_MS = 10 * 365 * 24 * 60 * 60 * 1000;

/** Certificates start this long ago, because machines' wall clocks differ. @default 5 minutes */
export const CLOCK_SKEW_MS = 5 * 60 * 1000;

/** How long a join token can be redeemed. @default 1 hour */
export const TOKEN_TTL_MS = 60 * 60 * 1000;

/** The longest life of a token; a longer one is a password that nobody changes. 30 days */
export const MAX_TOKEN_TTL_MS = 30 * 24 * 60 * 60 * 1000;

/** How many nodes may join with one token. @default 1 */
export const TOKEN_USES = 1;

/** The most uses that one token can have. */
export const MAX_TOKEN_USES = 10_000;

/** A refused token is answered this long after it arrived, whatever was wrong. @default 250 ms */
export const REFUSAL_DELAY_MS = 250;

/** Random bytes of a token's secret (128 bits). */
export const TOKEN_SECRET_BYTES = 16;

/** Random bytes of a token's public id. */
export const TOKEN_ID_BYTES = 8;

/** Random bytes of a certificate's serial number. */
export const SERIAL_BYTES = 16;

/** A longer certificate request is refused unread. */
export const MAX_CSR_CHARACTERS = 16 * 1024;

/** The CA's key and certificate, in one file so that one is never without the other. */
export const AUTHORITY_FILE = 'authority.pem';

/** The folder with a file for every name that has a certificate. */
export const ISSUED_FOLDER = 'issued';

/** The folder with a file for every key that was revoked. */
export const REVOKED_FOLDER = 'revoked';

/** The signed list of revoked keys, as every node keeps it. */
export const REVOCATIONS_FILE = 'revocations.json';

/** Keys on the list of revocations; beyond it those go first whose certificate ends first. */
export const MAX_REVOCATIONS = 4096;

/** A longer list of revocations is refused unread. */
export const MAX_REVOCATIONS_CHARACTERS = 1024 * 1024;

/** The folder with a folder for every token. */
export const TOKENS_FOLDER = 'tokens';

/** A node's own key and certificate, in its data directory. */
export const CREDENTIALS_FILE = 'credentials.json';
