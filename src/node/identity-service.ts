// Who this node is while it runs, and whom it believes: its credentials, renewed in time, the list
// of revoked keys, and, where the CA is, the answers to those who join and renew.
import { createPrivateKey } from 'node:crypto';
import {
  keyFingerprint,
  LiveCredentials,
  Revocations,
  saveCredentials,
} from '../identity/index.ts';
import { hasEnded } from '../cluster/index.ts';
import { CertificateRenewal, serveRenewal } from './certificate-renewal.ts';
import { RevocationNotices } from './revocation-notices.ts';
import type { Clock, Logger, Prng } from '../core/index.ts';
import type { ClusterAuthority, Credentials } from '../identity/index.ts';
import type { Cluster } from '../cluster/index.ts';
import type { PeerHost } from '../peer/index.ts';
import type { OnJoin, TlsTransportOptions } from '../transport/index.ts';

/** Who the node is; the founding node holds the CA. */
export interface NodeIdentity {
  readonly credentials: Credentials;
  readonly authority?: ClusterAuthority;
}

export interface IdentityServiceComponents extends NodeIdentity {
  /** Where keys are kept. */
  readonly directory: string;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly log: Logger;
}

/** What membership knows; asked only once the node has started. */
export type MembershipView = Pick<Cluster, 'founder' | 'member' | 'members'>;

export class IdentityService {
  readonly credentials: LiveCredentials;
  readonly #components: IdentityServiceComponents;
  readonly #revocations: Revocations;
  readonly #revoked = Promise.withResolvers<void>();
  #membership: MembershipView | undefined;
  #notices: RevocationNotices | undefined;
  #renewal: CertificateRenewal | undefined;

  constructor(components: IdentityServiceComponents) {
    const { authority, credentials, directory, clock } = components;
    this.#components = components;
    this.credentials = new LiveCredentials(credentials);
    const { caPem } = credentials;
    this.#revocations = authority?.revocations ?? new Revocations({ directory, caPem, clock });
  }

  /** Resolves when this node's own certificate was revoked. */
  get revoked(): Promise<void> {
    return this.#revoked.promise;
  }

  /** Whom the transport lets in. */
  transportOptions(): Pick<TlsTransportOptions, 'admit' | 'onJoin'> {
    const { authority } = this.#components;
    const admit = this.#revocations.check.bind(this.#revocations);
    if (authority === undefined) return { admit };
    const onJoin: OnJoin = (request) => authority.admit(request, (name) => this.#lives(name));
    return { admit, onJoin };
  }

  #lives(name: string): boolean {
    const member = this.#membership?.member(name);
    return member !== undefined && !hasEnded(member.status);
  }

  #living(): string[] {
    const members = this.#membership?.members() ?? [];
    return members.filter(({ status }) => !hasEnded(status)).map(({ name }) => name);
  }

  /** Before `host` listens. */
  serve(host: PeerHost): void {
    const { authority, clock, log } = this.#components;
    if (authority !== undefined) serveRenewal(host, authority);
    this.#notices = new RevocationNotices({
      host,
      revocations: this.#revocations,
      authority,
      keyFingerprint: keyFingerprint(createPrivateKey(this.credentials.privateKeyPem)),
      members: () => this.#living(),
      onRevoked: () => this.#revoked.resolve(),
      clock,
      log,
    });
    this.#notices.start();
  }

  /** Once the node is a member. */
  start(host: PeerHost, membership: MembershipView): void {
    const { clock, prng, log, directory } = this.#components;
    this.#membership = membership;
    this.#renewal = new CertificateRenewal({
      host,
      credentials: this.credentials,
      holder: () => membership.founder,
      save: (credentials) => saveCredentials(directory, credentials),
      clock,
      prng,
      log,
    });
    this.#renewal.start();
  }

  stop(): void {
    this.#notices?.stop();
    this.#renewal?.stop();
  }
}
