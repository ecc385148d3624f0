export { EmbeddedStore } from './embedded-store.ts';
export { STORE_ERRORS } from './errors.ts';
export { RemoteStore } from './remote-store.ts';
export { serveStore } from './serve-store.ts';
export type { EmbeddedStoreOptions } from './embedded-store.ts';
export type { RemoteStoreOptions } from './remote-store.ts';
export type {
  Compare,
  Entry,
  Lease,
  RecordStore,
  Store,
  StoreEvent,
  SwapResult,
  Watch,
  Write,
} from './store.ts';
