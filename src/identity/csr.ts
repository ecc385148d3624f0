// Certificate requests: making them at a node, reading them at the CA.
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { FlotillaError } from '../core/index.ts';
import { checkName } from './certificates.ts';
import { KEY_ALGORITHM, privateKeyPemOf, SIGNING_ALGORITHM } from './credentials.ts';
import { MAX_CSR_CHARACTERS } from './defaults.ts';
import { x509 } from './x509.ts';
import type { KeyObject } from 'node:crypto';
import type { PublicKey } from '@peculiar/x509';

/**
 * Makes a new key and a certificate request for it; the request proves possession of the key.
 * Errors: `name_invalid`.
 */
export async function createKeyAndCsr(
  name: string,
): Promise<{ privateKeyPem: string; csrPem: string }> {
  checkName(name);
  const keys = await crypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
  return { privateKeyPem: privateKeyPemOf(keys.privateKey), csrPem: await requestFor(name, keys) };
}

/** A certificate request for a key that exists: what a renewal needs. */
export function createCsr(name: string, privateKeyPem: string): Promise<string> {
  const key = createPrivateKey(privateKeyPem);
  const cryptoKey = (from: KeyObject, use: 'sign' | 'verify') =>
    from.toCryptoKey(KEY_ALGORITHM, true, [use]) as CryptoKey;
  const publicKey = cryptoKey(createPublicKey(key), 'verify');
  return requestFor(name, { privateKey: cryptoKey(key, 'sign'), publicKey });
}

async function requestFor(name: string, keys: CryptoKeyPair): Promise<string> {
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [name] }],
    keys,
    signingAlgorithm: SIGNING_ALGORITHM,
  });
  return `${csr.toString('pem')}\n`;
}

/** The public key of a certificate request, after its own signature has been checked. */
export async function readRequest(csrPem: string): Promise<PublicKey> {
  const refuse = (reason: string, cause?: unknown) =>
    new FlotillaError('csr_invalid', `the certificate request is refused: ${reason}`, { cause });
  if (typeof csrPem !== 'string' || csrPem.length > MAX_CSR_CHARACTERS) {
    throw refuse(`it must be PEM of at most ${MAX_CSR_CHARACTERS} characters`);
  }
  let publicKey: PublicKey;
  let signed: boolean;
  try {
    const request = new x509.Pkcs10CertificateRequest(csrPem);
    publicKey = request.publicKey;
    signed = await request.verify();
  } catch (error) {
    throw refuse('it cannot be read', error);
  }
  const { name, namedCurve } = publicKey.algorithm as { name: string; namedCurve?: string };
  if (name !== KEY_ALGORITHM.name || namedCurve !== KEY_ALGORITHM.namedCurve) {
    throw refuse('its key is not an ECDSA key on P-256');
  }
  if (!signed) throw refuse('its signature does not fit its key');
  return publicKey;
}

export async function spkiFingerprint(key: PublicKey): Promise<string> {
  return Buffer.from(await key.getThumbprint('SHA-256')).toString('hex');
}
