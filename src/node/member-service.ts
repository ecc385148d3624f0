// What an operator asks of a member: to take no more requests, to take them again, to leave. Any
// node is asked; it passes the question on to the member that is meant.
import { FlotillaError } from '../core/index.ts';
import { NODE_DEFAULTS } from './defaults.ts';
import type { Cluster, Coordinator, Member } from '../cluster/index.ts';
import type { MemberControl, MemberInfo } from '../gateway/index.ts';
import type { RpcHost } from '../peer/index.ts';
import type { Sharding } from '../sharding/index.ts';

/** Procedures. */
const DRAIN = 'node.drain';
const LEAVE = 'node.leave';

export interface MemberServiceComponents {
  readonly host: Pick<RpcHost, 'call' | 'handle'>;
  readonly cluster: Pick<Cluster, 'members' | 'member' | 'drain' | 'undrain'>;
  readonly coordinator: Pick<Coordinator, 'registry'>;
  readonly sharding: Pick<Sharding, 'drain' | 'undrain'>;
  /** Begins to leave, after the answer. */
  readonly leave: () => void;
}

export class MemberService implements MemberControl {
  readonly #components: MemberServiceComponents;

  constructor(components: MemberServiceComponents) {
    this.#components = components;
  }

  start(): void {
    const { host, cluster, sharding, leave } = this.#components;
    host.handle(DRAIN, ({ body }) => {
      if ((body as { cancel?: unknown } | null)?.cancel === true) {
        cluster.undrain();
        sharding.undrain();
      } else {
        cluster.drain();
        void sharding.drain(NODE_DEFAULTS.drainTimeoutMs);
      }
      return { body: {} };
    });
    host.handle(LEAVE, () => {
      leave();
      return { body: {} };
    });
  }

  list(): MemberInfo[] {
    const { cluster, coordinator } = this.#components;
    return cluster.members().map((member) => {
      const { load, lastSeenMs } = coordinator.registry.get(member.name) ?? {};
      return { ...infoOf(member), load: load ?? 0, lastSeenMs: lastSeenMs ?? 0 };
    });
  }

  async drain(name: string, cancel: boolean): Promise<void> {
    await this.#ask(name, DRAIN, { cancel });
  }

  async leave(name: string): Promise<void> {
    await this.#ask(name, LEAVE, {});
  }

  async #ask(name: string, procedure: string, body: object): Promise<void> {
    const { host, cluster } = this.#components;
    if (cluster.member(name) === undefined) {
      const message = `there is no member ${name}; "flotilla members" lists them`;
      throw new FlotillaError('member_unknown', message, { details: { member: name } });
    }
    await host.call(name, procedure, { body }, { timeoutMs: NODE_DEFAULTS.memberTimeoutMs });
  }
}

function infoOf({ name, status, incarnation, address, httpAddress, metadata }: Member) {
  return { name, status, incarnation, address, httpAddress, metadata };
}
