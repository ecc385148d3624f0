// The founder's end of the store: answers the procedures `store.*` from its embedded store. The
// callers' end is remote-store.ts.
import { MAX_WATCH_WAIT_MS, WATCH_PAGE_BYTES, WATCH_PAGE_EVENTS } from './defaults.ts';
import {
  KEY,
  LEASE_ID,
  NAME,
  packEntries,
  packPage,
  PREFIX,
  PROCEDURES,
  read,
  readTransaction,
  TTL,
  WATCH_REQUEST,
} from './messages.ts';
import type { RpcHost } from '../peer/index.ts';
import type { EmbeddedStore } from './embedded-store.ts';
import type { Past } from './watchers.ts';

const PAGE_LIMITS = { events: WATCH_PAGE_EVENTS, bytes: WATCH_PAGE_BYTES };
const DONE = { body: {} };

/** Registers the procedures `store.*` on `host`, once. */
export function serveStore(host: RpcHost, store: EmbeddedStore): void {
  host.handle(PROCEDURES.get, async (request) => {
    const entry = await store.get(read(KEY, request).key);
    return packEntries(entry === undefined ? [] : [entry]);
  });
  host.handle(PROCEDURES.list, async (request) =>
    packEntries(await store.list(read(PREFIX, request).prefix)),
  );
  host.handle(PROCEDURES.revision, async () => ({ body: { value: await store.revision() } }));
  host.handle(PROCEDURES.compareAndSwap, async (request) => {
    const { compares, writes } = readTransaction(request);
    return { body: await store.compareAndSwap(compares, writes) };
  });
  host.handle(PROCEDURES.lease, (request) => ({
    body: { id: store.grantLease(read(TTL, request).ttlMs) },
  }));
  host.handle(PROCEDURES.keepAlive, (request) => {
    store.renewLease(read(LEASE_ID, request).id);
    return DONE;
  });
  host.handle(PROCEDURES.revoke, (request) => {
    store.revokeLease(read(LEASE_ID, request).id);
    return DONE;
  });
  host.handle(PROCEDURES.epoch, async (request) => ({
    body: { value: await store.epoch(read(NAME, request).name) },
  }));
  host.handle(PROCEDURES.watch, async (request, { signal }) =>
    packPage(await nextPage(store, read(WATCH_REQUEST, request), signal)),
  );
}

/** The next changes, at once when there are some; otherwise when they come or the wait is over. */
async function nextPage(
  store: EmbeddedStore,
  request: { prefix: string; fromRevision: number; waitMs: number },
  signal: AbortSignal,
): Promise<Past> {
  const { prefix, fromRevision } = request;
  const page = store.changes(prefix, fromRevision, PAGE_LIMITS);
  if (page.events.length > 0 || request.waitMs === 0 || signal.aborted) return page;
  const waitMs = Math.min(request.waitMs, MAX_WATCH_WAIT_MS);
  const { promise, resolve } = Promise.withResolvers<void>();
  const watch = await store.watch(prefix, page.nextRevision, () => resolve());
  void watch.ended.then(() => resolve());
  const onAbort = () => resolve();
  signal.addEventListener('abort', onAbort, { once: true });
  const timer = store.clock.schedule(waitMs, () => resolve());
  await promise;
  timer.cancel();
  signal.removeEventListener('abort', onAbort);
  watch.close();
  return store.changes(prefix, page.nextRevision, PAGE_LIMITS);
}
