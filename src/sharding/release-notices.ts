// Tells the coordinator which shards this node has let go of: those of one turn of the event loop
// in one message. One that gets lost is repeated with the next tick, by whoever calls `add` again.
import { SHARDING_DEFAULTS } from './defaults.ts';
import { PROCEDURES } from './messages.ts';
import type { Logger } from '../core/index.ts';
import type { RpcHost } from '../peer/index.ts';
import type { OwnershipView } from './ownership-view.ts';

export interface ReleaseNoticesComponents {
  readonly host: Pick<RpcHost, 'call'>;
  readonly view: OwnershipView;
  readonly log: Logger;
}

export class ReleaseNotices {
  readonly #components: ReleaseNoticesComponents;
  /** Shards with their epochs, by type. */
  readonly #waiting = new Map<string, [number, number][]>();
  #stopped = false;

  constructor(components: ReleaseNoticesComponents) {
    this.#components = components;
  }

  add(type: string, shard: number, epoch: number): void {
    const waiting = this.#waiting.get(type);
    if (waiting !== undefined) {
      waiting.push([shard, epoch]);
      return;
    }
    this.#waiting.set(type, [[shard, epoch]]);
    queueMicrotask(() => this.#tell(type));
  }

  stop(): void {
    this.#stopped = true;
  }

  #tell(type: string): void {
    const shards = this.#waiting.get(type);
    this.#waiting.delete(type);
    const { host, view, log } = this.#components;
    const { leader } = view;
    if (leader === undefined || shards === undefined || this.#stopped) return;
    const timeoutMs = SHARDING_DEFAULTS.callTimeoutMs;
    const body = { type, shards };
    host.call(leader.name, PROCEDURES.released, { body }, { timeoutMs }).catch((error: unknown) => {
      log.debug({ type, err: error }, 'the coordinator was not told of a release');
    });
  }
}
