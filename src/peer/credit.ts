// Credit on one stream of a channel, by messages and bytes: what its sender may still send, and
// what its receiver owes. Pure arithmetic, the same numbers at both ends.
import { CHANNEL_CREDIT, CREDIT_SHARE } from './defaults.ts';

/** The sender's side. */
export class SendCredit {
  #messages: number = CHANNEL_CREDIT.messages;
  #bytes: number = CHANNEL_CREDIT.bytes;

  /** True while a message may be sent; the last one may overdraw the bytes. */
  get open(): boolean {
    return this.#messages > 0 && this.#bytes > 0;
  }

  spend(bytes: number): void {
    this.#messages--;
    this.#bytes -= bytes;
  }

  grant(messages: number, bytes: number): void {
    this.#messages += messages;
    this.#bytes += bytes;
  }
}

/** The receiver's side. */
export class ReceiveCredit {
  #messages: number = CHANNEL_CREDIT.messages;
  #bytes: number = CHANNEL_CREDIT.bytes;
  #dueMessages = 0;
  #dueBytes = 0;

  /** A message arrived. False when its sender had no credit for it. */
  arrived(bytes: number): boolean {
    const covered = this.#messages > 0 && this.#bytes > 0;
    this.#messages--;
    this.#bytes -= bytes;
    return covered;
  }

  /** A message was taken. Hands what is due to `grant` at a quarter of the first credit. */
  taken(bytes: number, grant: (messages: number, bytes: number) => void): void {
    this.#dueMessages++;
    this.#dueBytes += bytes;
    const due =
      this.#dueMessages >= CHANNEL_CREDIT.messages * CREDIT_SHARE ||
      this.#dueBytes >= CHANNEL_CREDIT.bytes * CREDIT_SHARE;
    if (!due) return;
    this.#messages += this.#dueMessages;
    this.#bytes += this.#dueBytes;
    grant(this.#dueMessages, this.#dueBytes);
    this.#dueMessages = 0;
    this.#dueBytes = 0;
  }
}
