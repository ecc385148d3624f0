// Ties a node's certificate to a QUIC connection. QUIC's handshake proves that each end holds its
// Ed25519 key; here each end signs both keys with the key of its certificate, so that a certificate
// cannot be shown on a connection that its owner is not an end of.
import { sign, verify, X509Certificate } from 'node:crypto';
import { messageOf } from '../core/index.ts';
import { keyFingerprint, verifyChain } from '../identity/index.ts';
import { frameInvalid } from '../wire/index.ts';
import { PEER_PROTOCOL } from './defaults.ts';
import { refused } from './tls-identity.ts';
import type { Clock } from '../core/index.ts';
import type { Credentials } from '../identity/index.ts';
import type { LinkIdentity } from './link.ts';

export interface QuicProof {
  readonly protocol: string;
  readonly certificate: string;
  readonly signature: Uint8Array;
}

/** Both ends' QUIC keys, and who dialled: a proof holds for one pair and one direction only. */
export interface QuicEnds {
  readonly signer: Uint8Array;
  readonly other: Uint8Array;
  readonly signerDialled: boolean;
}

function statement({ signer, other, signerDialled }: QuicEnds): Buffer {
  const role = signerDialled ? 'dialler' : 'listener';
  return Buffer.concat([Buffer.from(`flotilla quic identity 1 ${role}\0`), signer, other]);
}

export function createProof(credentials: Credentials, ends: QuicEnds): QuicProof {
  const { certificatePem: certificate, privateKeyPem } = credentials;
  const signature = sign('sha256', statement(ends), privateKeyPem);
  return { protocol: PEER_PROTOCOL, certificate, signature };
}

/** Throws `frame_invalid`. */
export function decodeProof(body: unknown): QuicProof {
  const { protocol, certificate, signature } = (body ?? {}) as Record<string, unknown>;
  const sound =
    typeof protocol === 'string' &&
    typeof certificate === 'string' &&
    signature instanceof Uint8Array;
  if (!sound) throw frameInvalid('a proof of identity that lacks a field');
  return { protocol, certificate, signature };
}

/** Who signed. Throws `identity_refused` unless a node of this cluster did, for this connection. */
export function verifyProof(
  { protocol, certificate, signature }: QuicProof,
  ends: QuicEnds,
  trust: { caPem: string; clock: Clock; address: string },
): LinkIdentity {
  if (protocol !== PEER_PROTOCOL) throw refused(trust.address, `it speaks ${protocol}`);
  let name: string;
  let leaf: X509Certificate;
  try {
    name = verifyChain(certificate, trust.caPem, trust.clock);
    leaf = new X509Certificate(certificate);
  } catch (error) {
    throw refused(trust.address, messageOf(error));
  }
  if (!verify('sha256', statement(ends), leaf.publicKey, signature)) {
    throw refused(trust.address, `it shows the certificate of ${name} but not its key`);
  }
  return { name, fingerprint: keyFingerprint(leaf.publicKey) };
}
