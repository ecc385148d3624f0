// What a simulated fleet will do when: actions in the order of their times.
import { EventQueue } from '../event-queue.ts';

export type Action = (nowMs: number) => void;

export class Agenda {
  readonly #queue = new EventQueue<{ readonly atMs: number; readonly action: Action }>();

  add(atMs: number, action: Action): void {
    this.#queue.push(atMs, { atMs, action });
  }

  /** Runs what is due up to and at `endMs`. */
  runUntil(endMs: number): void {
    while (this.#queue.nextAtMs <= endMs) {
      const { atMs, action } = this.#queue.pop()!;
      action(atMs);
    }
  }
}
