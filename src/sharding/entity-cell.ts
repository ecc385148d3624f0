// One entity in memory: its state, its mailbox, what it is doing. A record that `ShardHost` works
// on; it decides nothing itself.
import type { EntityContext } from './define-entity.ts';
import type { HostedShard } from './hosted-shard.ts';
import type { Incoming } from './outgoing.ts';

export type CellPhase =
  /** Its state is on the way from the journal. */
  | 'loading'
  | 'idle'
  /** A handler runs. */
  | 'busy'
  /** It is no longer this shard's: whatever still runs has no effect. */
  | 'gone';

export class EntityCell {
  readonly id: string;
  readonly shard: HostedShard;
  state: unknown = undefined;
  phase: CellPhase = 'loading';
  current: Incoming | undefined;
  usedMs = 0;
  /** What a durable entity's journal has of it. */
  saved: Uint8Array | undefined;
  /** Times of its latest failures. */
  failures: number[] | undefined;
  /** It handles nothing before this. */
  restUntilMs = -Infinity;
  pumping = false;
  /** What its handlers are told; made for the first of them. */
  context: EntityContext | undefined;
  #mailbox: Incoming[] | undefined;
  #head = 0;

  constructor(id: string, shard: HostedShard) {
    this.id = id;
    this.shard = shard;
  }

  /** Messages that wait. */
  get queued(): number {
    return this.#mailbox === undefined ? 0 : this.#mailbox.length - this.#head;
  }

  put(message: Incoming): void {
    if (this.#mailbox === undefined) this.#mailbox = [message];
    else this.#mailbox.push(message);
  }

  take(): Incoming | undefined {
    const mailbox = this.#mailbox;
    if (mailbox === undefined) return undefined;
    const message = mailbox[this.#head++];
    if (this.#head >= mailbox.length) {
      this.#mailbox = undefined;
      this.#head = 0;
    } else if (this.#head > 64 && 2 * this.#head > mailbox.length) {
      this.#mailbox = mailbox.slice(this.#head);
      this.#head = 0;
    }
    return message;
  }
}
