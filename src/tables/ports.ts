// What tables need of the layers below, as narrow shapes: `PeerHost`, `Coordinator`, `Store` and
// `Kernels` satisfy them, and so do the in-process stand-ins of tests.
import type { Kernels } from '../devices/index.ts';

/** What an RPC carries: a small body and, beside it, raw bytes that are never re-encoded. */
export interface RpcPayload {
  readonly body: unknown;
  readonly bytes?: Uint8Array;
}

export interface RpcCallOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** This node's end of its RPC connections. Received bytes belong to the receiver. */
export interface RpcHost {
  readonly name: string;
  handle(
    procedure: string,
    handler: (request: RpcPayload) => RpcPayload | Promise<RpcPayload>,
  ): void;
  call(
    name: string,
    procedure: string,
    request: RpcPayload,
    options?: RpcCallOptions,
  ): Promise<RpcPayload>;
}

/** Who may own shards. */
export interface Members {
  readonly registry: { healthyNodes(): readonly { readonly id: string }[] };
}

/** Where the records of tables are kept. */
export interface RecordStore {
  get(key: string): Promise<StoredRecord | undefined>;
  list(prefix: string): Promise<StoredRecord[]>;
  compareAndSwap(
    compares: readonly { key: string; revision: number }[],
    writes: readonly ({ put: string; value: Uint8Array } | { delete: string })[],
  ): Promise<{ ok: boolean }>;
  epoch(name: string): Promise<number>;
}

export interface StoredRecord {
  readonly key: string;
  readonly value: Uint8Array;
  readonly revision: number;
}

/** The kernels that tables run, and the memory they run on. */
export type TableKernels = Pick<
  Kernels,
  | 'memory'
  | 'alloc'
  | 'free'
  | 'floats'
  | 'words'
  | 'bytes'
  | 'gather'
  | 'adagrad'
  | 'adagradRowWise'
  | 'sgemm'
  | 'dot'
  | 'countGreaterRows'
>;
