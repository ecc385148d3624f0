// A watch on etcd that outlives connections and members. Each watch is a stream of its own: the
// library shares one among all, which throws a listener's error into the others and waits without
// end to close one while disconnected.
import { FlotillaError, sleep } from '../core/index.ts';
import { ETCD_CALL_TIMEOUT_MS, RETRY_FIRST_MS, RETRY_LAST_MS } from './defaults.ts';
import { within } from './within.ts';
import type { Etcd3, IDuplexStream, IEvent, IWatchRequest, IWatchResponse } from 'etcd3';
import type { Clock } from '../core/index.ts';
import type { EtcdClient } from './etcd-client.ts';
import type { StoreEvent, Watch } from './store.ts';

type WatchStream = IDuplexStream<IWatchRequest, IWatchResponse>;

export interface EtcdWatchComponents {
  readonly client: EtcdClient;
  readonly clock: Clock;
  readonly onEvent: (event: StoreEvent) => void;
  readonly toEvent: (event: IEvent) => StoreEvent;
}

export interface EtcdWatchOptions {
  readonly range: { readonly key: Buffer; readonly range_end: Buffer };
  readonly fromRevision: number;
}

/** A stream that carries events; `broken` settles once, with why. */
interface Connection {
  readonly stream: WatchStream;
  readonly broken: Promise<FlotillaError>;
}

export class EtcdWatch implements Watch {
  readonly ended: Promise<FlotillaError | undefined>;
  readonly #components: EtcdWatchComponents;
  readonly #range: EtcdWatchOptions['range'];
  readonly #stop = new AbortController();
  #end!: (error: FlotillaError | undefined) => void;
  #stream: WatchStream | undefined;
  /** Everything before it was handed out. */
  #nextRevision: number;
  /** Events of the last revision that came, which may have more to come. */
  #pending: StoreEvent[] = [];

  private constructor(components: EtcdWatchComponents, options: EtcdWatchOptions) {
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#components = components;
    this.#range = options.range;
    this.#nextRevision = Math.max(1, options.fromRevision);
  }

  /** Resolves when etcd watches. Errors: `revision_compacted`, `store_unavailable`. */
  static async open(components: EtcdWatchComponents, options: EtcdWatchOptions): Promise<Watch> {
    const watch = new EtcdWatch(components, options);
    const first = await watch.#connect();
    void watch.#follow(first);
    return watch;
  }

  close(): void {
    this.#settle(undefined);
  }

  #settle(error: FlotillaError | undefined): void {
    this.#end(error);
    this.#stop.abort();
    this.#stream?.cancel();
  }

  async #follow(first: Connection): Promise<void> {
    const { signal } = this.#stop;
    let connection = first;
    while (!signal.aborted) {
      const why = await connection.broken;
      if (signal.aborted) return;
      if (why.code === 'store_unavailable') {
        const next = await this.#reconnect();
        if (next === undefined) return;
        connection = next;
      } else this.#settle(why);
    }
  }

  async #reconnect(): Promise<Connection | undefined> {
    const { client, clock } = this.#components;
    const { signal } = this.#stop;
    for (let pauseMs = RETRY_FIRST_MS; ; pauseMs = Math.min(2 * pauseMs, RETRY_LAST_MS)) {
      await sleep(clock, pauseMs, signal).catch(() => {});
      if (signal.aborted) return undefined;
      try {
        return await this.#connect();
      } catch (error) {
        const why = client.nameError(error);
        if (why.code === 'store_unavailable') continue;
        this.#settle(why);
        return undefined;
      }
    }
  }

  async #connect(): Promise<Connection> {
    const { client, clock } = this.#components;
    await this.#checkHistory();
    const { stream, failed } = await client.stream((member: Etcd3) => member.watchClient.watch());
    const created = Promise.withResolvers<void>();
    const broken = Promise.withResolvers<FlotillaError>();
    const fail = (cause: unknown) => {
      failed();
      const error = client.nameError(cause);
      created.reject(error);
      broken.resolve(error);
      stream.cancel();
    };
    stream.on('error', fail);
    stream.on('end', () => fail(new FlotillaError('store_unavailable', 'etcd ended a watch')));
    stream.on('data', (response) => {
      if (response.canceled) fail(reasonOf(response));
      else if (response.created) created.resolve();
      else this.#take(response);
    });
    const request = { ...this.#range, start_revision: this.#nextRevision };
    stream.write({ create_request: { ...request, progress_notify: true, fragment: true } });
    this.#stream = stream;
    this.#pending = [];
    try {
      await within(clock, ETCD_CALL_TIMEOUT_MS, created.promise);
    } catch (error) {
      fail(error);
      throw error;
    }
    return { stream, broken: broken.promise };
  }

  /**
   * etcd would accept a revision at which it compacted, without the deletions there: everything
   * from `#nextRevision` on is only sure to be known when the revision before it can be read.
   */
  async #checkHistory(): Promise<void> {
    const revision = Math.max(1, this.#nextRevision - 1);
    const { key } = this.#range;
    try {
      await this.#components.client.repeat(({ kv }, options) =>
        kv.range({ key, revision, count_only: true }, options),
      );
    } catch (error) {
      // A revision that is still to come has its whole history ahead of it.
      if (!(error instanceof FlotillaError) || !/future revision/.test(error.message)) throw error;
    }
  }

  /** Hands out whole revisions: a part of one would come again after a reconnection. */
  #take({ events, fragment, header }: IWatchResponse): void {
    const { onEvent, toEvent } = this.#components;
    for (const event of events) this.#pending.push(toEvent(event));
    const last = this.#pending.at(-1)?.revision ?? 0;
    while (this.#pending.length > 0 && !this.#stop.signal.aborted) {
      const [next] = this.#pending;
      if (fragment && next!.revision === last) return;
      this.#pending.shift();
      try {
        onEvent(next!);
      } catch (error) {
        const text = 'the listener of a watch threw';
        this.#settle(new FlotillaError('internal', text, { cause: error }));
      }
    }
    // Without events it is a report of progress: all before its revision has been sent.
    const revision = events.length === 0 ? Number(header.revision) : last;
    this.#nextRevision = Math.max(this.#nextRevision, revision + 1);
  }
}

function reasonOf({ compact_revision, cancel_reason }: IWatchResponse): FlotillaError {
  const oldest = Number(compact_revision);
  if (oldest > 0) {
    const text = `etcd has compacted its history to revision ${oldest}`;
    return new FlotillaError('revision_compacted', text, { details: { oldest } });
  }
  return new FlotillaError('store_unavailable', `etcd cancelled a watch: ${cancel_reason}`);
}
