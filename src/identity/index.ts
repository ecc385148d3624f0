export { ClusterAuthority } from './authority.ts';
export {
  caDigestOf,
  certificateFingerprint,
  certificateName,
  checkName,
  keyFingerprint,
  verifyChain,
} from './certificates.ts';
export { createKeyAndCsr, loadCredentials, saveCredentials } from './credentials.ts';
export { IDENTITY_ERRORS } from './errors.ts';
export { ensureDirectory, writeFileAtomic } from './files.ts';
export { formatToken, parseToken } from './token.ts';
export type { AdmitRequest, AuthorityOptions, IssuedRecord } from './authority.ts';
export type { Credentials } from './credentials.ts';
export type { Token } from './token.ts';
export type { TokenInfo, TokenOptions } from './token-book.ts';
