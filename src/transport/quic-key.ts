// The key that QUIC itself proves: an Ed25519 key of this process, made anew each time, in the form
// that libp2p's TLS takes. Which node it stands for is said by `quic-proof`.
import { generateKeyPairSync } from 'node:crypto';

export interface QuicKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** The private key in libp2p's protobuf, for the binding. */
  readonly privateKeyProto: Uint8Array;
}

const KEY_BYTES = 32;
/** libp2p's `PrivateKey { Type: Ed25519, Data: 64 bytes }`, up to the data. */
const PRIVATE_PREFIX = Buffer.from([0x08, 0x01, 0x12, 2 * KEY_BYTES]);
/** A peer id that is an identity multihash of `PublicKey { Type: Ed25519, Data: 32 bytes }`. */
const PEER_ID_PREFIX = Buffer.from([0x00, 0x24, 0x08, 0x01, 0x12, KEY_BYTES]);

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

export function createQuicKey(): QuicKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  // Both encodings end with the raw key.
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-KEY_BYTES);
  const point = publicKey.export({ format: 'der', type: 'spki' }).subarray(-KEY_BYTES);
  return { publicKey: point, privateKeyProto: Buffer.concat([PRIVATE_PREFIX, seed, point]) };
}

export interface QuicRemote {
  /** `ip:port` of the other end, as a multiaddress gives them. */
  readonly host: string;
  readonly port: number;
  /** The key that the other end proved; absent when it is no Ed25519 key. */
  readonly publicKey: Uint8Array | undefined;
}

/** Reads `/ip4/<ip>/udp/<port>/quic-v1/p2p/<peer id>`. */
export function parseMultiaddr(text: string): QuicRemote {
  const [, , host = '', , port = '', , , peerId = ''] = text.split('/');
  return { host, port: Number(port), publicKey: publicKeyOf(peerId) };
}

function publicKeyOf(peerId: string): Uint8Array | undefined {
  const bytes = decodeBase58(peerId);
  const { length } = PEER_ID_PREFIX;
  if (bytes?.length !== length + KEY_BYTES) return undefined;
  return bytes.subarray(0, length).equals(PEER_ID_PREFIX) ? bytes.subarray(length) : undefined;
}

function decodeBase58(text: string): Buffer | undefined {
  const bytes: number[] = [];
  for (const character of text) {
    let carry = BASE58.indexOf(character);
    if (carry < 0) return undefined;
    for (let i = 0; i < bytes.length; i++) {
      carry += bytes[i]! * 58;
      bytes[i] = carry & 0xff;
      carry >>= 8;
    }
    for (; carry > 0; carry >>= 8) bytes.push(carry & 0xff);
  }
  for (let i = 0; text[i] === BASE58[0]; i++) bytes.push(0);
  return Buffer.from(bytes.reverse());
}
