export { ClusterAuthority } from './authority.ts';
export {
  caDigestOf,
  certificateFingerprint,
  certificateName,
  checkName,
  keyFingerprint,
  verifyChain,
} from './certificates.ts';
export { fitsTogether, loadCredentials, saveCredentials, validityOf } from './credentials.ts';
export { createCsr, createKeyAndCsr } from './csr.ts';
export { IDENTITY_ERRORS } from './errors.ts';
export { ensureDirectory, writeFileAtomic } from './files.ts';
export { LiveCredentials } from './live-credentials.ts';
export { certificateRevoked, Revocations } from './revocations.ts';
export { formatToken, parseToken } from './token.ts';
export type { AdmitRequest, AuthorityOptions, IssuedRecord } from './authority.ts';
export type { Credentials } from './credentials.ts';
export type { RevokedKey } from './revocation-book.ts';
export type { SignedRevocations } from './revocations.ts';
export type { Token } from './token.ts';
export type { TokenInfo, TokenOptions } from './token-book.ts';
