// Who a TLS peer proved to be: the chain was checked by TLS, the name stands in the certificate.
import { certificateName, keyFingerprint } from '../identity/index.ts';
import { FlotillaError, messageOf } from '../core/index.ts';
import type { TLSSocket } from 'node:tls';
import type { LinkIdentity } from './link.ts';

/** The verified identity at the other end. Throws `identity_refused`. */
export function identityOf(socket: TLSSocket, address: string): LinkIdentity {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw refused(address, 'it showed no certificate');
  if (!socket.authorized) throw refused(address, reasonOf(socket.authorizationError));
  try {
    const name = certificateName(certificate);
    return { name, fingerprint: keyFingerprint(certificate.publicKey) };
  } catch (error) {
    throw refused(address, messageOf(error));
  }
}

/** `identity_refused`, said so that an operator knows which side to look at. */
export function refused(address: string, reason: string): FlotillaError {
  return new FlotillaError('identity_refused', `the node at ${address} was refused: ${reason}`, {
    details: { address, reason },
  });
}

/** OpenSSL's code for a chain that does not hold, in words. */
export function reasonOf(code: unknown): string {
  const name =
    code instanceof Error ? ((code as NodeJS.ErrnoException).code ?? code.message) : code;
  switch (name) {
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'CERT_SIGNATURE_FAILURE':
      return 'its certificate is not from the CA of this cluster';
    case 'CERT_HAS_EXPIRED':
      return 'its certificate has expired';
    case 'CERT_NOT_YET_VALID':
      return 'its certificate is not valid yet (compare the clocks)';
    default:
      return String(name);
  }
}
