// The way of messages to entities of the same node: no network, and mostly no waiting. Only so many
// are handled before the event loop gets its turn, or a caller that awaits one ask after the other
// would keep the node from everything else, the renewal of its session included.
import { LOCAL_PER_TURN } from './defaults.ts';
import type { Incoming } from './outgoing.ts';
import type { ShardHost } from './shard-host.ts';

export class LocalLane {
  /** Handed over since the event loop had its last turn. */
  #count = 0;
  #waiting: (readonly [ShardHost, Incoming])[] = [];
  #scheduled = false;

  /** Delivers now or in a later turn; always in order. */
  send(host: ShardHost, message: Incoming): void {
    this.#schedule();
    if (this.#count >= LOCAL_PER_TURN || this.#waiting.length > 0) {
      this.#waiting.push([host, message]);
      return;
    }
    this.#count++;
    host.deliver(message);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = () => {
    this.#scheduled = false;
    const batch = this.#waiting.slice(0, LOCAL_PER_TURN);
    this.#count = batch.length;
    if (batch.length === 0) return;
    this.#schedule();
    // What is sent meanwhile waits behind the rest.
    for (const [host, message] of batch) host.deliver(message);
    this.#waiting.splice(0, batch.length);
  };
}
