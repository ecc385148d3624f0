export { Election } from './election.ts';
export { EmbeddedStore } from './embedded-store.ts';
export { EpochFence } from './epoch-fence.ts';
export { STORE_ERRORS } from './errors.ts';
export { EtcdStore } from './etcd-store.ts';
export { PrefixFollower } from './prefix-follower.ts';
export { RemoteStore } from './remote-store.ts';
export { serveStore } from './serve-store.ts';
export type { ElectionComponents, ElectionOptions, Leader, Term } from './election.ts';
export type { EmbeddedStoreOptions } from './embedded-store.ts';
export type { EtcdOptions } from './etcd-client.ts';
export type {
  FollowerListener,
  PrefixFollowerComponents,
  PrefixFollowerOptions,
} from './prefix-follower.ts';
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
