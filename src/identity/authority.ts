// The cluster CA: it lives in the founding node's data directory, signs node certificates and hands
// out join tokens. Who asks for a certificate, and over what connection, belongs to transport.
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import * as path from 'node:path';
import { FlotillaError } from '../core/index.ts';
import { caDigestOf, checkName } from './certificates.ts';
import {
  KEY_ALGORITHM,
  loadCredentials,
  privateKeyPemOf,
  SIGNING_ALGORITHM,
} from './credentials.ts';
import { readRequest, spkiFingerprint } from './csr.ts';
import {
  AUTHORITY_FILE,
  AUTHORITY_VALIDITY_MS,
  CERTIFICATE_VALIDITY_MS,
  CLOCK_SKEW_MS,
  ISSUED_FOLDER,
  REFUSAL_DELAY_MS,
  REVOKED_FOLDER,
  SERIAL_BYTES,
  TOKENS_FOLDER,
} from './defaults.ts';
import { createFileAtomic, ensureDirectory, readIfPresent, writeFileAtomic } from './files.ts';
import { RevocationBook } from './revocation-book.ts';
import { certificateRevoked, Revocations, signRevocations } from './revocations.ts';
import { TokenBook } from './token-book.ts';
import { formatToken } from './token.ts';
import { x509 } from './x509.ts';
import type { KeyObject } from 'node:crypto';
import type { PublicKey } from '@peculiar/x509';
import type { Clock } from '../core/index.ts';
import type { RevokedKey } from './revocation-book.ts';
import type { TokenCheck, TokenInfo, TokenOptions } from './token-book.ts';

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

/** Signs node certificates, revokes them, and keeps the join tokens. One per data directory. */
export class ClusterAuthority {
  readonly caPem: string;
  /** SHA-256 of the CA certificate's DER, 64 hex digits. */
  readonly caDigest: string;
  /** The signed list of revoked keys, as far as `refreshRevocations` has seen. */
  readonly revocations: Revocations;
  readonly #directory: string;
  readonly #keys: AuthorityKeys;
  readonly #signingKey: CryptoKey;
  readonly #clock: Clock;
  readonly #validityMs: number;
  readonly #tokens: TokenBook;
  readonly #revoked: RevocationBook;

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
    const { clock } = options;
    this.#revoked = new RevocationBook({ folder: path.join(directory, REVOKED_FOLDER), clock });
    this.revocations = new Revocations({ directory, caPem: this.caPem, clock });
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
   * does only after a new token was redeemed; the other key is revoked then. Returns PEM. Errors:
   * `name_invalid`, `csr_invalid`, `name_taken`, `certificate_revoked`, `directory_not_writable`.
   */
  async issue(name: string, csrPem: string, options: { replace?: boolean } = {}): Promise<string> {
    checkName(name);
    const publicKey = await readRequest(csrPem);
    const previous = this.issued(name);
    const fingerprint = await spkiFingerprint(publicKey);
    if (this.#revoked.has(fingerprint)) throw certificateRevoked(name);
    const replaced = previous?.keyFingerprint === fingerprint ? undefined : previous;
    if (replaced !== undefined && options.replace !== true) {
      throw nameTaken(name, 'has a certificate for another key; only a new join token replaces it');
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
    // One name, one key: what the new one replaces must not speak for the name any more.
    if (replaced !== undefined && replaced.notAfterMs > this.#clock.wallTime()) {
      this.#revoked.add(replaced);
      this.refreshRevocations();
    }
    return certificatePem;
  }

  /**
   * Redeems the token of a joining node and signs its certificate; the token takes the name over
   * from an earlier key, but never that of the CA's holder, and that of a member which `lives` only
   * if it was made to. Errors: those of `redeem` and `issue`.
   */
  async admit(
    request: AdmitRequest,
    lives: (name: string) => boolean = () => false,
  ): Promise<{ certificatePem: string; caPem: string }> {
    // Only who has proved a token gets its request parsed, or learns who is there.
    const { name } = request;
    checkName(name);
    await this.redeem(request.id, request.secret, ({ replace }) => {
      if (name === this.holder) throw nameTaken(name, 'is that of the node that holds the CA');
      if (replace || !lives(name)) return;
      throw nameTaken(name, 'is that of a member that is up; see `flotilla token --replace`');
    });
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
  redeem(id: string, secret: string, check?: TokenCheck): Promise<void> {
    return this.#tokens.redeem(id, secret, check);
  }

  /** Tokens that exist, oldest first, used up and expired ones included until they are swept. */
  listTokens(): TokenInfo[] {
    return this.#tokens.list();
  }

  /** Ends a token. False when there is none with this id. */
  revokeToken(id: string): boolean {
    return this.#tokens.revoke(id);
  }

  /** The name of the node whose data directory this is, once it has its own certificate. */
  get holder(): string | undefined {
    return loadCredentials(this.#directory)?.name;
  }

  /**
   * Ends the certificate of `name`, for the running node within a second; `refreshRevocations` does
   * it at once. False when it had ended before. Errors: `name_unknown`, `revocation_refused`.
   */
  revoke(name: string): boolean {
    const record = this.issued(name);
    if (record === undefined) {
      const message = `no certificate was ever issued for ${name}`;
      throw new FlotillaError('name_unknown', message, { details: { name } });
    }
    if (name === this.holder) {
      const message = `${name} holds the CA of the cluster and cannot be revoked`;
      throw new FlotillaError('revocation_refused', message, { details: { name } });
    }
    const ended = record.notAfterMs <= this.#clock.wallTime();
    if (ended || this.#revoked.has(record.keyFingerprint)) return false;
    this.#revoked.add(record);
    return true;
  }

  /** Keys whose certificates were ended, by name. */
  listRevoked(): RevokedKey[] {
    return this.#revoked.list().sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Signs a new list if the book has changed, whichever process did it. True when it has. */
  refreshRevocations(): boolean {
    const listed = this.revocations.keys.map(({ keyFingerprint }) => keyFingerprint).sort();
    if (listed.join() === this.#revoked.fingerprints().join()) return false;
    // Numbers go on growing when the file with the last list is lost, and when the clock goes back.
    const number = Math.max(this.revocations.number + 1, Math.floor(this.#clock.wallTime()));
    const list = { number, revoked: this.#revoked.list() };
    return this.revocations.accept(signRevocations(list, this.#keys.privateKey));
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

function nameTaken(name: string, reason: string): FlotillaError {
  return new FlotillaError('name_taken', `the name ${name} ${reason}`, { details: { name } });
}

/** Random, positive, of fixed length: the top bits of the first byte are 01. */
function createSerial(): string {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  return serial.toString('hex');
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
