// The store's procedures and their bodies, checked where they arrive. Values travel beside the
// body, one after the other; the body has their lengths.
import { z } from 'zod';
import { FlotillaError } from '../core/index.ts';
import type { Payload } from '../peer/index.ts';
import type { Compare, Entry, StoreEvent, Write } from './store.ts';
import type { Past } from './watchers.ts';

export const PROCEDURES = {
  get: 'store.get',
  list: 'store.list',
  revision: 'store.revision',
  compareAndSwap: 'store.compareAndSwap',
  lease: 'store.lease',
  keepAlive: 'store.keepAlive',
  revoke: 'store.revoke',
  watch: 'store.watch',
  epoch: 'store.epoch',
} as const;

const text = z.string();
const length = z.int().nonnegative();
const revision = z.int().nonnegative();

export const KEY = z.object({ key: text });
export const PREFIX = z.object({ prefix: text });
export const NAME = z.object({ name: text });
export const LEASE_ID = z.object({ id: text });
export const TTL = z.object({ ttlMs: z.number() });
export const NUMBER = z.object({ value: z.int().nonnegative() });
export const SWAPPED = z.object({ ok: z.boolean(), revision });
export const WATCH_REQUEST = z.object({
  prefix: text,
  fromRevision: revision,
  waitMs: z.number().nonnegative(),
});

const TRANSACTION = z.object({
  compares: z.array(z.object({ key: text, revision })),
  writes: z.array(
    z.union([z.object({ put: text, length, lease: text.nullish() }), z.object({ delete: text })]),
  ),
});
const ENTRIES = z.object({ entries: z.array(z.object({ key: text, revision, length })) });
const PAGE = z.object({
  events: z.array(
    z.object({ type: z.enum(['put', 'delete']), key: text, revision, length: length.nullish() }),
  ),
  nextRevision: revision,
});

function invalid(reason: string): FlotillaError {
  return new FlotillaError('store_message_invalid', `a store message is invalid: ${reason}`);
}

/** The body of `payload` as `schema` describes it. Errors: `store_message_invalid`. */
export function read<T>(schema: z.ZodType<T>, payload: Payload): T {
  const { data, error } = schema.safeParse(payload.body);
  if (error === undefined) return data;
  const [issue] = error.issues;
  throw invalid(`${issue?.path.join('.') || 'body'}: ${issue?.message ?? 'unknown'}`);
}

function join(values: readonly Uint8Array[]): { bytes?: Uint8Array } {
  if (values.length === 0) return {};
  const [only] = values;
  return { bytes: values.length === 1 ? only! : Buffer.concat(values) };
}

/** Cuts the bytes beside a body into its values; they must be used up exactly. */
function cutter(payload: Payload): { next(length: number): Uint8Array; end(): void } {
  const bytes = payload.bytes ?? new Uint8Array(0);
  let at = 0;
  return {
    next(size) {
      if (at + size > bytes.byteLength) throw invalid('it has fewer bytes than its values');
      at += size;
      // A copy: a small value must not keep the whole message alive, nor be a Buffer.
      return new Uint8Array(bytes.subarray(at - size, at));
    },
    end() {
      if (at !== bytes.byteLength) throw invalid('it has more bytes than its values');
    },
  };
}

export function packTransaction(compares: readonly Compare[], writes: readonly Write[]): Payload {
  const values: Uint8Array[] = [];
  const heads = writes.map((write) => {
    if (!('put' in write)) return { delete: write.delete };
    values.push(write.value);
    return { put: write.put, length: write.value.byteLength, lease: write.lease ?? null };
  });
  return { body: { compares, writes: heads }, ...join(values) };
}

export function readTransaction(payload: Payload): { compares: Compare[]; writes: Write[] } {
  const { compares, writes } = read(TRANSACTION, payload);
  const values = cutter(payload);
  const whole = writes.map((write): Write => {
    if (!('put' in write)) return write;
    const value = values.next(write.length);
    return { put: write.put, value, ...(write.lease == null ? {} : { lease: write.lease }) };
  });
  values.end();
  return { compares, writes: whole };
}

export function packEntries(entries: readonly Entry[]): Payload {
  const heads = entries.map(({ key, revision, value }) => {
    return { key, revision, length: value.byteLength };
  });
  return { body: { entries: heads }, ...join(entries.map(({ value }) => value)) };
}

export function readEntries(payload: Payload): Entry[] {
  const { entries } = read(ENTRIES, payload);
  const values = cutter(payload);
  const whole = entries.map(({ key, revision, length }) => {
    return { key, revision, value: values.next(length) };
  });
  values.end();
  return whole;
}

export function packPage(page: Past): Payload {
  const values: Uint8Array[] = [];
  const events = page.events.map(({ type, key, revision, value }) => {
    if (value === undefined) return { type, key, revision };
    values.push(value);
    return { type, key, revision, length: value.byteLength };
  });
  return { body: { events, nextRevision: page.nextRevision }, ...join(values) };
}

export function readPage(payload: Payload): Past {
  const { events, nextRevision } = read(PAGE, payload);
  const values = cutter(payload);
  const whole = events.map(({ type, key, revision, length }): StoreEvent => {
    if (type === 'delete') return { type, key, revision };
    return { type, key, revision, value: values.next(length ?? 0) };
  });
  values.end();
  return { events: whole, nextRevision };
}
