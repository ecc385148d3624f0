// Reading and judging certificates: digests, names, chains. Issuing them belongs to the authority.
import { createHash, createPublicKey, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { FlotillaError, systemClock } from '../core/index.ts';
import type { KeyObject } from 'node:crypto';
import type { Clock } from '../core/index.ts';

const NAME_RULE = /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Throws `name_invalid` unless `name` can be a node's name. */
export function checkName(name: string): void {
  if (typeof name === 'string' && NAME_RULE.test(name) && isIP(name) === 0) return;
  throw new FlotillaError(
    'name_invalid',
    `a node name is 1 to 63 of a-z, 0-9, "." and "-", starts and ends with a letter or digit, ` +
      `and is no IP address, but is ${JSON.stringify(String(name).slice(0, 80))}`,
  );
}

/** SHA-256 of a certificate's DER, 64 hex digits: what a join token pins of the CA. */
export function caDigestOf(certificate: string | X509Certificate): string {
  return sha256Hex(parse(certificate).raw);
}

/** SHA-256 of a certificate's DER, 64 hex digits: tells one certificate from another. */
export const certificateFingerprint = caDigestOf;

/** SHA-256 of a public key's SPKI, 64 hex digits: stays when a certificate is renewed. */
export function keyFingerprint(key: KeyObject): string {
  const pub = key.type === 'private' ? createPublicKey(key) : key;
  return sha256Hex(pub.export({ type: 'spki', format: 'der' }));
}

/** The node name in a certificate: its only alternative name. Does not judge the issuer. */
export function certificateName(certificate: string | X509Certificate): string {
  const names = parse(certificate).subjectAltName;
  const name = names?.startsWith('DNS:') ? names.slice(4) : '';
  if (!NAME_RULE.test(name)) throw untrusted('it does not carry exactly one node name');
  return name;
}

/**
 * Judges a node's certificate: issued by the CA `caPem`, valid now on `clock`, usable for both ends
 * of a connection, carrying one node name. Returns that name. Errors: `certificate_untrusted`.
 */
export function verifyChain(
  leaf: string | X509Certificate,
  caPem: string,
  clock: Pick<Clock, 'wallTime'> = systemClock,
): string {
  const certificate = parse(leaf);
  const ca = parse(caPem);
  if (!ca.ca || !certificate.checkIssued(ca) || !certificate.verify(ca.publicKey)) {
    throw untrusted('it was not issued by this cluster’s CA');
  }
  const now = clock.wallTime();
  for (const each of [certificate, ca]) {
    if (now < each.validFromDate.getTime() || now > each.validToDate.getTime()) {
      throw untrusted(`it is valid from ${each.validFrom} to ${each.validTo}`);
    }
  }
  const uses = certificate.keyUsage ?? [];
  if (certificate.ca || !uses.includes(SERVER_AUTH) || !uses.includes(CLIENT_AUTH)) {
    throw untrusted('it is not a node’s certificate');
  }
  return certificateName(certificate);
}

function untrusted(reason: string, cause?: unknown): FlotillaError {
  return new FlotillaError('certificate_untrusted', `the certificate is refused: ${reason}`, {
    cause,
  });
}

function parse(certificate: string | X509Certificate): X509Certificate {
  if (certificate instanceof X509Certificate) return certificate;
  try {
    return new X509Certificate(certificate);
  } catch (error) {
    throw untrusted('it cannot be read', error);
  }
}
