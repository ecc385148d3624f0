// Carries the signed list of revoked keys through the fleet: the holder of the CA tells every
// member, whoever learns of a newer list tells its peers, and two that connect tell each other.
// Connections of a revoked key end; that new ones are refused is the transport's part.
import { hasCode, messageOf } from '../core/index.ts';
import { certificateRevoked } from '../identity/index.ts';
import { REVOCATION_DEFAULTS } from './defaults.ts';
import type { Clock, Logger, Timer } from '../core/index.ts';
import type { ClusterAuthority, Revocations } from '../identity/index.ts';
import type { PeerHost } from '../peer/index.ts';

/** Control kind, and the procedure for members without a link. */
export const REVOCATIONS = 'identity.revocations';

export interface RevocationNoticesComponents {
  readonly host: PeerHost;
  readonly revocations: Revocations;
  /** Only where the CA is. */
  readonly authority?: ClusterAuthority | undefined;
  /** Fingerprint of this node's own key. */
  readonly keyFingerprint: string;
  /** Names of all members that live. */
  readonly members: () => readonly string[];
  /** This node's own certificate was revoked. */
  readonly onRevoked: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class RevocationNotices {
  readonly #components: RevocationNoticesComponents;
  #timer: Timer | undefined;

  constructor(components: RevocationNoticesComponents) {
    this.#components = components;
  }

  /** Before the host listens, so that no list goes by unheard. */
  start(): void {
    const { host, revocations, authority, clock } = this.#components;
    host.onControl(REVOCATIONS, (body, peer) => this.#accept(body, peer));
    host.handle(REVOCATIONS, ({ body }, { peer }) => {
      this.#accept(body, peer);
      return { body: {} };
    });
    host.onConnect(({ name }) => {
      if (revocations.signed !== undefined) host.sendControl(name, REVOCATIONS, revocations.signed);
    });
    revocations.onChange(() => this.#changed());
    if (authority === undefined) return;
    this.#refresh();
    this.#timer = clock.repeat(REVOCATION_DEFAULTS.pollMs, () => this.#refresh());
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** Keys may have been revoked by another process, the command line's. */
  #refresh(): void {
    const { authority, log } = this.#components;
    try {
      authority?.refreshRevocations();
    } catch (error) {
      log.error({ err: error }, `revocations cannot be kept: ${messageOf(error)}`);
    }
  }

  #accept(body: unknown, peer: string): void {
    const { revocations, log } = this.#components;
    try {
      revocations.accept(body);
    } catch (error) {
      const level = hasCode(error, 'revocations_invalid') ? 'warn' : 'error';
      log[level]({ peer, err: error }, messageOf(error));
    }
  }

  #changed(): void {
    const { host, revocations, authority, keyFingerprint, log, onRevoked } = this.#components;
    const { signed, number } = revocations;
    log.info({ number, names: revocations.keys.map(({ name }) => name) }, 'revoked keys changed');
    for (const { name } of host.peers()) host.sendControl(name, REVOCATIONS, signed);
    if (authority !== undefined) this.#tellOthers();
    this.#sever();
    if (revocations.has(keyFingerprint)) onRevoked();
  }

  /** Members to which no connection stands. Who is out of reach learns it when it connects. */
  #tellOthers(): void {
    const { host, revocations, members, log } = this.#components;
    for (const name of members()) {
      if (name === host.name || host.peer(name) !== undefined) continue;
      const timeoutMs = REVOCATION_DEFAULTS.callTimeoutMs;
      host
        .call(name, REVOCATIONS, { body: revocations.signed }, { timeoutMs })
        .catch((error: unknown) =>
          log.debug({ peer: name, err: error }, 'not told of revocations'),
        );
    }
  }

  /** What is queued still leaves, the list among it: a revoked node shall know why it is alone. */
  #sever(): void {
    const { host, revocations, clock } = this.#components;
    for (const peer of host.peers()) {
      if (!revocations.has(peer.remote.fingerprint)) continue;
      const reason = certificateRevoked(peer.name);
      void peer.close(reason);
      clock.schedule(REVOCATION_DEFAULTS.closeTimeoutMs, () => peer.destroy(reason));
    }
  }
}
