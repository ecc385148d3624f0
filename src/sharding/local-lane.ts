// The way of messages to entities of the same node: no network, and mostly no waiting. Only so many
// are handled before the event loop gets its turn, or a caller that awaits one ask after the other
// would keep the node from everything else, the renewal of its session included.
import { BoundedQueue } from '../core/index.ts';
import { LOCAL_PER_TURN, LOCAL_WAITING } from './defaults.ts';
import { bufferFull } from './errors.ts';
import type { Incoming } from './outgoing.ts';
import type { ShardHost } from './shard-host.ts';

export class LocalLane {
  /** Handed over since the event loop had its last turn. */
  #count = 0;
  readonly #waiting = new BoundedQueue<readonly [ShardHost, Incoming]>(LOCAL_WAITING);
  #scheduled = false;

  /** Delivers now or in a later turn; always in order. What there is no room for fails. */
  send(host: ShardHost, message: Incoming): void {
    this.#schedule();
    if (this.#count < LOCAL_PER_TURN && this.#waiting.size === 0) {
      this.#count++;
      host.deliver(message);
    } else if (!this.#waiting.offer([host, message])) {
      message.fail(bufferFull(message, LOCAL_WAITING));
    }
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = () => {
    this.#scheduled = false;
    this.#count = Math.min(LOCAL_PER_TURN, this.#waiting.size);
    if (this.#count > 0) this.#schedule();
    // What is sent meanwhile waits behind the rest.
    for (let left = this.#count; left > 0; left--) {
      const [host, message] = this.#waiting.poll()!;
      host.deliver(message);
    }
  };
}
