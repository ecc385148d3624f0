// How a node gets in: it asks seeds, one after another; a seed lets it in unless the fleet is full
// or a live node elsewhere has its name.
import { FlotillaError, hasCode, messageOf, sleep } from '../core/index.ts';
import { CLUSTER_DEFAULTS } from './defaults.ts';
import { hasEnded } from './member.ts';
import { encodeJoinAnswer, encodeJoiner, JOIN, readJoinAnswer, readJoiner } from './messages.ts';
import type { Clock } from '../core/index.ts';
import type { Payload } from '../peer/index.ts';
import type { ClusterHost } from './cluster-host.ts';
import type { Member } from './member.ts';
import type { Membership } from './membership.ts';
import type { MembershipEvent, MembershipOptions } from './membership-types.ts';

export interface JoiningComponents {
  readonly host: ClusterHost;
  readonly clock: Clock;
  readonly membership: Membership;
  readonly options: Pick<MembershipOptions, 'maxMembers' | 'maxTombstones'>;
  founder(): string;
  step(event: MembershipEvent): void;
}

export class Joining {
  readonly #components: JoiningComponents;

  constructor(components: JoiningComponents) {
    this.#components = components;
  }

  /** Answers nodes that ask to join. */
  serve(): void {
    this.#components.host.handle(JOIN, ({ body }, { peer }) => {
      const joiner = readJoiner(body, peer);
      const { membership } = this.#components;
      if (membership.self.status === 'left') {
        throw new FlotillaError('join_refused', `${membership.self.name} is stopping`);
      }
      const known = membership.member(peer);
      const elsewhere =
        known !== undefined && !hasEnded(known.status) && known.address !== joiner.address;
      return elsewhere ? this.#dispute(joiner, known) : this.#admit(joiner);
    });
  }

  /** Asks one seed after another; the founder, as the first that lets this node in names it. */
  async join(seeds: readonly string[]): Promise<string> {
    const failures: unknown[] = [];
    for (const seed of seeds) {
      try {
        return await this.#askTwice(seed);
      } catch (error) {
        failures.push(error);
      }
    }
    const [cause] = failures;
    if (hasCode(cause)) throw cause;
    throw new FlotillaError('join_refused', `no seed answered: ${messageOf(cause)}`, {
      details: { seeds },
      cause,
    });
  }

  /** The link may be cut because an earlier life of this node is found dead just now. */
  async #askTwice(seed: string): Promise<string> {
    try {
      return await this.#ask(seed);
    } catch (error) {
      if (!hasCode(error, 'peer_disconnected')) throw error;
      return this.#ask(seed);
    }
  }

  async #ask(seed: string): Promise<string> {
    const { host, membership, options, step } = this.#components;
    const { name } = await host.connect(seed);
    host.learn(name, seed);
    const timeoutMs = CLUSTER_DEFAULTS.joinTimeoutMs;
    const request = { body: encodeJoiner(membership.self) };
    const { body } = await host.call(name, JOIN, request, { timeoutMs });
    const { founder, members } = readJoinAnswer(
      body,
      name,
      options.maxMembers + options.maxTombstones,
    );
    step({ type: 'merge', from: name, members });
    return founder;
  }

  #admit(joiner: Member): Payload {
    const { membership, options, founder, step } = this.#components;
    const earlier = membership.lastOf(joiner.name);
    const size = membership.members().length;
    if (earlier === undefined && size >= options.maxMembers) {
      throw new FlotillaError('join_refused', `the cluster is full: ${size} members`);
    }
    step({ type: 'merge', from: joiner.name, members: [joiner] });
    // What was known of the name before, a tombstone included: the joiner has to be above it.
    const members = membership.view().filter(({ name }) => name !== joiner.name);
    if (earlier !== undefined) members.push(earlier);
    return { body: encodeJoinAnswer({ founder: founder(), members }) };
  }

  /** The name has a holder at another address: who still answers there keeps it. */
  async #dispute(joiner: Member, holder: Member): Promise<Payload> {
    const { host, clock } = this.#components;
    const { name, address } = holder;
    const silence = new AbortController();
    const answers = await Promise.race([
      host.connect(address).then(
        (peer) => peer.name === name,
        () => false,
      ),
      sleep(clock, CLUSTER_DEFAULTS.conflictProbeTimeoutMs, silence.signal).then(
        () => false,
        () => false,
      ),
    ]);
    silence.abort();
    if (!answers) return this.#admit(joiner);
    throw new FlotillaError('name_conflict', `${name} is the name of a live member at ${address}`, {
      details: { name, address },
    });
  }
}
