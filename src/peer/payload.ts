// What a call carries and what a handler gets: the words that every layer above uses.
import { messageMemory } from '../wire/index.ts';

/** A small MessagePack body and, beside it, raw bytes that are never re-encoded. */
export interface Payload {
  readonly body: unknown;
  /**
   * What a receiver gets here is its own memory, to keep. A caller leaves its bytes unchanged until
   * the call has resolved; after a rejection they may still be on their way. An answer's bytes
   * belong to the connection from the handler's return on.
   */
  readonly bytes?: Uint8Array;
}

export interface CallContext {
  /** The caller's verified name. */
  readonly peer: string;
  /** Aborts on the caller's cancellation, its deadline and its disconnect. Made when first read. */
  readonly signal: AbortSignal;
}

/** A handler that needs no waiting answers synchronously: its reply leaves in the same tick. */
export type Handler = (request: Payload, context: CallContext) => Payload | Promise<Payload>;

export interface CallOptions {
  /** @default 30 000 */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Calls between nodes by name: what the layers above need of a `PeerHost`. */
export interface RpcHost {
  readonly name: string;
  handle(procedure: string, handler: Handler): void;
  call(name: string, procedure: string, request: Payload, options?: CallOptions): Promise<Payload>;
}

export type ControlHandler = (body: unknown, peer: string) => void;

export function payloadOf(body: unknown, bytes: Uint8Array | undefined): Payload {
  return bytes === undefined ? { body } : { body, bytes };
}

/**
 * Gives the memory of received bytes back, for messages that come later: worth it from 16 KiB on,
 * for whoever is done with them at once. Nobody may touch them afterwards, nor any view of their
 * buffer. Does nothing with memory that no message came in, or that was given back before.
 */
export function releaseBytes(bytes: Uint8Array | undefined): void {
  if (bytes !== undefined) messageMemory.release(bytes);
}
