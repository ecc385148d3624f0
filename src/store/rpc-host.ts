// What the store needs of the peer layer, as a narrow shape: `PeerHost` satisfies it, and so does
// an in-process stand-in in tests.

/** What an RPC carries: a small body and, beside it, raw bytes that the receiver may keep. */
export interface RpcPayload {
  readonly body: unknown;
  readonly bytes?: Uint8Array;
}

export interface RpcContext {
  /** The caller's verified name. */
  readonly peer: string;
  /** Aborts when the caller cancels, its deadline passes or it disconnects. */
  readonly signal: AbortSignal;
}

export interface RpcCallOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface RpcHost {
  handle(
    procedure: string,
    handler: (request: RpcPayload, context: RpcContext) => RpcPayload | Promise<RpcPayload>,
  ): void;
  call(
    name: string,
    procedure: string,
    request: RpcPayload,
    options?: RpcCallOptions,
  ): Promise<RpcPayload>;
}
