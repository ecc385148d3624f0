// What the common suite of stores is written with: its subject, events as text, a collector.
import assert from 'node:assert/strict';
import type { Store, StoreEvent } from '../../src/store/index.ts';

export interface Subject {
  readonly store: Store;
  /** A second caller of the same store; may be the same object. */
  readonly other: Store;
  /** A lease that is short for this store, yet outlives what a test does in the meantime. */
  readonly ttlMs: number;
  /** Lets time pass for the store and its callers: simulated for some, real for others. */
  readonly advance: (durationMs: number) => void | Promise<void>;
  /** Closes everything and opens it again on the same data. */
  readonly reopen: () => Promise<Subject>;
}

export const bytes = (text: string) => new TextEncoder().encode(text);
export const textOf = (value: Uint8Array | undefined) => new TextDecoder().decode(value);

export const put = (store: Store, key: string, text = key, lease?: string) =>
  store.compareAndSwap([], [{ put: key, value: bytes(text), ...(lease && { lease }) }]);

/** `put key=text @revision`, `delete key @revision`. */
export function show({ type, key, value, revision }: StoreEvent): string {
  return `${type} ${key}${type === 'put' ? `=${textOf(value)}` : ''} @${revision}`;
}

/** Collects events and resolves when some number of them has come. */
export function collector() {
  const events: StoreEvent[] = [];
  const waiting: { count: number; resolve: () => void }[] = [];
  return {
    events,
    onEvent(event: StoreEvent) {
      events.push(event);
      for (const { count, resolve } of waiting) if (events.length >= count) resolve();
    },
    until(count: number): Promise<void> {
      if (events.length >= count) return Promise.resolve();
      return new Promise((resolve) => waiting.push({ count, resolve }));
    },
  };
}

/** What is due at once in simulated time may take a while in real time. */
const LATEST_MS = 15_000;

/** Polls until `holds`; for what a store does some time after it is due. */
export async function eventually(subject: Subject, holds: () => Promise<boolean>): Promise<void> {
  const stepMs = 50;
  for (let waitedMs = 0; !(await holds()); waitedMs += stepMs) {
    assert.ok(waitedMs < LATEST_MS, `it did not happen in ${LATEST_MS} ms`);
    await subject.advance(stepMs);
  }
}

export type Check = (behaviour: string, body: (subject: Subject) => Promise<void>) => void;
