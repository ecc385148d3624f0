// The cluster CA: it lives in the founding node's data directory, signs node certificates and hands
// out join tokens. Who asks for a certificate, and over what connection, belongs to transport.
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import * as path from 'node:path';
import { FlotillaError } from '../core/index.ts';
import { caDigestOf, checkName } from './certificates.ts';
import { KEY_ALGORITHM, privateKeyPemOf, SIGNING_ALGORITHM } from './credentials.ts';
import {
  AUTHORITY_FILE,
  AUTHORITY_VALIDITY_MS,
  CERTIFICATE_VALIDITY_MS,
  CLOCK_SKEW_MS,
  ISSUED_FOLDER,
  MAX_CSR_CHARACTERS,
  REFUSAL_DELAY_MS,
  SERIAL_BYTES,
  TOKENS_FOLDER,
} from './defaults.ts';
import { createFileAtomic, ensureDirectory, readIfPresent, writeFileAtomic } from './files.ts';
import { TokenBook } from './token-book.ts';
import { formatToken } from './token.ts';
import { x509 } from './x509.ts';
import type { KeyObject } from 'node:crypto';
import type { PublicKey } from '@peculiar/x509';
import type { Clock } from '../core/index.ts';
import type { TokenInfo, TokenOptions } from './token-book.ts';

export interface AuthorityOptions {
  readonly clock: Clock;
  /** False: an absent CA is an error (`authority_missing`) instead of a new one. @default true */
  readonly create?: boolean;
  /** How long a node's certificate is valid. @default 90 days */
  readonly certificateValidityMs?: number;
  /** When a refused token is answered. @default 250 ms */
  readonly refusalDelayMs?: number;
}

/** The latest certificate of a name. Times are wall-clock milliseconds. */
export interface IssuedRecord {
  readonly name: string;
  readonly keyFingerprint: string;
  readonly serial: string;
  readonly issuedAtMs: number;
  readonly notAfterMs: number;
}

/** What a node that joins sends, and what it gets: the join exchange of transport. */
export interface AdmitRequest {
  readonly id: string;
  readonly secret: string;
  readonly name: string;
  readonly csrPem: string;
}

interface AuthorityKeys {
  readonly certificate: X509Certificate;
  readonly privateKey: KeyObject;
}

/** Signs node certificates and keeps the join tokens. Open one per data directory. */
export class ClusterAuthority {
  readonly caPem: string;
  /** SHA-256 of the CA certificate's DER, 64 hex digits. */
  readonly caDigest: string;
  readonly #directory: string;
  readonly #keys: AuthorityKeys;
  readonly #signingKey: CryptoKey;
  readonly #clock: Clock;
  readonly #validityMs: number;
  readonly #tokens: TokenBook;

  private constructor(directory: string, keys: AuthorityKeys, options: AuthorityOptions) {
    this.caPem = keys.certificate.toString();
    this.caDigest = caDigestOf(keys.certificate);
    this.#directory = directory;
    this.#keys = keys;
    const signingKey = keys.privateKey.toCryptoKey(KEY_ALGORITHM, false, ['sign']);
    this.#signingKey = signingKey as CryptoKey;
    this.#clock = options.clock;
    this.#validityMs = options.certificateValidityMs ?? CERTIFICATE_VALIDITY_MS;
    this.#tokens = new TokenBook(
      { folder: path.join(directory, TOKENS_FOLDER), clock: options.clock },
      { refusalDelayMs: options.refusalDelayMs ?? REFUSAL_DELAY_MS },
    );
  }

  /**
   * Loads the CA in `directory`, or makes one there. Of two processes that make one at once, both
   * get the first one's. Errors: `directory_not_writable`, `authority_corrupt`,
   * `authority_missing`.
   */
  static async open(directory: string, options: AuthorityOptions): Promise<ClusterAuthority> {
    const file = path.join(directory, AUTHORITY_FILE);
    const create = options.create ?? true;
    if (create) ensureDirectory(directory);
    let text = readIfPresent(file);
    if (text === undefined && create) {
      createFileAtomic(file, await createAuthority(options.clock));
      text = readIfPresent(file);
    }
    if (text === undefined) {
      throw new FlotillaError(
        'authority_missing',
        `there is no cluster CA in ${directory}; use the data directory of the founding node`,
        { details: { directory } },
      );
    }
    return new ClusterAuthority(directory, parseAuthority(file, text), options);
  }

  /**
   * Signs a certificate for `name` and the key in the request; everything else in the request is
   * ignored. A name that belongs to another key is refused unless `replace` is set, which a caller
   * does only after a new token was redeemed. Returns PEM.
   * Errors: `name_invalid`, `csr_invalid`, `name_taken`, `directory_not_writable`.
   */
  async issue(name: string, csrPem: string, options: { replace?: boolean } = {}): Promise<string> {
    checkName(name);
    const publicKey = await readRequest(csrPem);
    const previous = this.issued(name);
    const fingerprint = await spkiFingerprint(publicKey);
    if (previous && previous.keyFingerprint !== fingerprint && options.replace !== true) {
      throw new FlotillaError(
        'name_taken',
        `the name ${name} has a certificate for another key; only a new join token replaces it`,
        { details: { name, keyFingerprint: previous.keyFingerprint } },
      );
    }
    const certificatePem = await this.#sign(name, publicKey);
    const certificate = new X509Certificate(certificatePem);
    this.#record({
      name,
      keyFingerprint: fingerprint,
      serial: certificate.serialNumber,
      issuedAtMs: this.#clock.wallTime(),
      notAfterMs: certificate.validToDate.getTime(),
    });
    return certificatePem;
  }

  /**
   * Redeems the token of a joining node and signs its certificate; the token takes the name over
   * from an earlier key. Errors: those of `redeem` and `issue`.
   */
  async admit(request: AdmitRequest): Promise<{ certificatePem: string; caPem: string }> {
    // Only who has proved a token gets its request parsed.
    checkName(request.name);
    await this.redeem(request.id, request.secret);
    const certificatePem = await this.issue(request.name, request.csrPem, { replace: true });
    return { certificatePem, caPem: this.caPem };
  }

  /** The latest certificate of `name`, if it ever had one. Errors: `authority_corrupt`. */
  issued(name: string): IssuedRecord | undefined {
    checkName(name);
    const file = this.#issuedFile(name);
    const text = readIfPresent(file);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new FlotillaError(
        'authority_corrupt',
        `the record of ${name} in ${file} cannot be read; remove the file to issue the name anew`,
        { details: { file }, cause: error },
      );
    }
  }

  /** Makes a join token: `flt1.<CA digest>.<id>.<secret>`. Only a hash of the secret is kept. */
  createToken(options: TokenOptions = {}): string {
    return formatToken({ caDigest: this.caDigest, ...this.#tokens.create(options) });
  }

  /** Takes one use of a token. Errors: `token_refused`, the same whatever was wrong. */
  redeem(id: string, secret: string): Promise<void> {
    return this.#tokens.redeem(id, secret);
  }

  /** Tokens that exist, oldest first, used up and expired ones included until they are swept. */
  listTokens(): TokenInfo[] {
    return this.#tokens.list();
  }

  /** Ends a token. False when there is none with this id. */
  revokeToken(id: string): boolean {
    return this.#tokens.revoke(id);
  }

  async #sign(name: string, publicKey: PublicKey): Promise<string> {
    const now = this.#clock.wallTime();
    const caEndsMs = this.#keys.certificate.validToDate.getTime();
    const authority = new x509.X509Certificate(this.caPem);
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: createSerial(),
      subject: [{ CN: [name] }],
      issuer: authority.subjectName,
      notBefore: new Date(now - CLOCK_SKEW_MS),
      notAfter: new Date(Math.min(now + this.#validityMs, caEndsMs)),
      publicKey,
      signingKey: this.#signingKey,
      signingAlgorithm: SIGNING_ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([
          x509.ExtendedKeyUsage.serverAuth,
          x509.ExtendedKeyUsage.clientAuth,
        ]),
        new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }]),
        await x509.SubjectKeyIdentifierExtension.create(publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
      ],
    });
    return `${certificate.toString('pem')}\n`;
  }

  #issuedFile(name: string): string {
    return path.join(this.#directory, ISSUED_FOLDER, `${name}.json`);
  }

  #record(record: IssuedRecord): void {
    ensureDirectory(path.join(this.#directory, ISSUED_FOLDER));
    writeFileAtomic(this.#issuedFile(record.name), `${JSON.stringify(record)}\n`);
  }
}

/** Random, positive, of fixed length: the top bits of the first byte are 01. */
function createSerial(): string {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  return serial.toString('hex');
}

/** The public key of a certificate request, after its own signature has been checked. */
async function readRequest(csrPem: string): Promise<PublicKey> {
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

async function spkiFingerprint(key: PublicKey): Promise<string> {
  return Buffer.from(await key.getThumbprint('SHA-256')).toString('hex');
}

/** Makes a CA: its key and self-signed certificate as one PEM text. */
async function createAuthority(clock: Clock): Promise<string> {
  const keys = await crypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
  const now = clock.wallTime();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: createSerial(),
    name: [{ CN: [`flotilla ${randomBytes(4).toString('hex')}`] }],
    notBefore: new Date(now - CLOCK_SKEW_MS),
    notAfter: new Date(now + AUTHORITY_VALIDITY_MS),
    keys,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return `${privateKeyPemOf(keys.privateKey)}${certificate.toString('pem')}\n`;
}

function parseAuthority(file: string, text: string): AuthorityKeys {
  try {
    const start = text.indexOf('-----BEGIN CERTIFICATE-----');
    const privateKey = createPrivateKey(text.slice(0, Math.max(start, 0)));
    const certificate = new X509Certificate(text.slice(Math.max(start, 0)));
    if (!certificate.ca || !certificate.checkPrivateKey(privateKey)) throw new Error('no match');
    return { certificate, privateKey };
  } catch {
    // The cause is not kept: nothing that has seen the key's text goes into an error.
    throw new FlotillaError(
      'authority_corrupt',
      `the cluster CA in ${file} cannot be used; restore the file from a backup`,
      { details: { file } },
    );
  }
}
