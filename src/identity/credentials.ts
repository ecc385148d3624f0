// What a node proves itself with: its key, its certificate and the CA it trusts, in one file of its
// data directory. How they are used in TLS belongs to transport.
import { createPrivateKey, KeyObject, X509Certificate } from 'node:crypto';
import * as path from 'node:path';
import { FlotillaError } from '../core/index.ts';
import { certificateName } from './certificates.ts';
import { CLOCK_SKEW_MS, CREDENTIALS_FILE } from './defaults.ts';
import { ensureDirectory, readIfPresent, writeFileAtomic } from './files.ts';

export interface Credentials {
  readonly name: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly caPem: string;
}

/** Key pairs of the cluster: ECDSA on P-256. */
export const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;

/** How they sign. */
export const SIGNING_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** A private key as PKCS #8 PEM. */
export function privateKeyPemOf(key: CryptoKey): string {
  return KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** Writes `credentials` to `directory` (0600, atomically). Errors: `directory_not_writable`. */
export function saveCredentials(directory: string, credentials: Credentials): void {
  ensureDirectory(directory);
  const { name, certificatePem, privateKeyPem, caPem } = credentials;
  const text = JSON.stringify({ name, certificatePem, privateKeyPem, caPem }, undefined, 2);
  writeFileAtomic(path.join(directory, CREDENTIALS_FILE), `${text}\n`);
}

/**
 * The credentials saved in `directory`, or undefined when there are none. Key, certificate, CA and
 * name belong together; whether the certificate is still valid is for `verifyChain`.
 * Errors: `credentials_corrupt`.
 */
export function loadCredentials(directory: string): Credentials | undefined {
  const file = path.join(directory, CREDENTIALS_FILE);
  const text = readIfPresent(file);
  if (text === undefined) return undefined;
  try {
    const { name, certificatePem, privateKeyPem, caPem } = JSON.parse(text);
    const credentials = { name, certificatePem, privateKeyPem, caPem };
    if (!fitsTogether(credentials)) throw new Error('the parts do not belong together');
    return credentials;
  } catch {
    // The cause is not kept: a JSON parser's message quotes the text, and the text holds a key.
    throw new FlotillaError(
      'credentials_corrupt',
      `the credentials in ${file} cannot be used; remove the file and join again`,
      { details: { file } },
    );
  }
}

/** True when the certificate is the CA's for this name and key. Throws for what cannot be read. */
export function fitsTogether(credentials: Credentials): boolean {
  const { name, certificatePem, privateKeyPem, caPem } = credentials;
  const certificate = new X509Certificate(certificatePem);
  return (
    certificateName(certificate) === name &&
    certificate.checkPrivateKey(createPrivateKey(privateKeyPem)) &&
    certificate.verify(new X509Certificate(caPem).publicKey)
  );
}

/** When a certificate was issued and when it ends, wall-clock milliseconds. */
export function validityOf(certificatePem: string): { issuedAtMs: number; notAfterMs: number } {
  const { validFromDate, validToDate } = new X509Certificate(certificatePem);
  const issuedAtMs = validFromDate.getTime() + CLOCK_SKEW_MS;
  return { issuedAtMs, notAfterMs: validToDate.getTime() };
}
