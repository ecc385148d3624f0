// The calling end of RPC on one connection: numbers calls, finds the waiter of each answer, and
// wakes every waiter on deadline, cancellation and disconnect. No timer or closure per call.
import { FlotillaError } from '../core/index.ts';
import { decodeBody, encodeBody, frameInvalid, readU32 } from '../wire/index.ts';
import { MAX_NAME_BYTES, MAX_PROCEDURES } from './defaults.ts';
import { laneFull } from './errors.ts';
import { checkHead, checkSize, sizeOf, writeMessage } from './message-writer.ts';
import { OpenCall, OpenCalls } from './open-calls.ts';
import { payloadOf } from './payload.ts';
import { ANSWER_BYTES, RPC, readError, writeAnswer, writeRequest } from './rpc-messages.ts';
import type { Clock, Deadlines } from '../core/index.ts';
import type { SendStream } from '../transport/index.ts';
import type { MessageSink } from '../wire/index.ts';
import type { LaneCounters } from './metrics.ts';
import type { CallOptions, Payload } from './payload.ts';

export interface RpcClientComponents {
  readonly peer: string;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly requests: LaneCounters;
  readonly responses: LaneCounters;
  openStream(): SendStream;
}

export interface RpcClientLimits {
  readonly maxMessageBytes: number;
  readonly maxPendingCalls: number;
  readonly maxQueuedBytes: number;
  readonly callTimeoutMs: number;
}

const MAX_REMAINING_MS = 0xffffffff;

export class RpcClient implements MessageSink {
  readonly #components: RpcClientComponents;
  readonly #pending: OpenCalls<PendingCall>;
  /** Numbers of the procedures that this connection has named. */
  readonly #procedures = new Map<string, number>();
  limits: RpcClientLimits;
  #stream: SendStream | undefined;
  #nextId = 1;
  #closed: FlotillaError | undefined;
  droppedResponses = 0;

  constructor(components: RpcClientComponents, limits: RpcClientLimits) {
    this.#components = components;
    this.#pending = new OpenCalls(components.clock, components.deadlines);
    this.limits = limits;
  }

  get pendingCalls(): number {
    return this.#pending.size;
  }

  /** Sends a call that has to be answered within `timeoutMs`. */
  call(procedure: string, request: Payload, options: CallOptions): Promise<Payload> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    const { signal, timeoutMs = this.limits.callTimeoutMs } = options;
    if (signal?.aborted) return Promise.reject(cancelled(procedure, signal));
    const id = this.#nextId;
    try {
      this.#send({ id, procedure, timeoutMs }, request);
    } catch (error) {
      return Promise.reject(error);
    }
    this.#nextId = this.#idAfter(id);
    const promise = new Promise<Payload>(capture);
    const call = new PendingCall(this, { id, procedure, timeoutMs });
    this.#pending.add(call);
    if (signal !== undefined) call.listen(signal);
    return promise;
  }

  /** An answer. */
  message(buffer: Uint8Array, start: number, end: number, bytes: Uint8Array | undefined): void {
    if (end - start < ANSWER_BYTES) throw frameInvalid(`an answer of ${end - start} bytes`);
    const type = buffer[start]!;
    if (type !== RPC.answer && type !== RPC.error) throw frameInvalid(`an answer of type ${type}`);
    const { responses } = this.#components;
    responses.receivedMessages++;
    responses.receivedBytes += end - start + (bytes?.length ?? 0);
    const call = this.#pending.get(readU32(buffer, start + 4));
    if (call === undefined) {
      this.droppedResponses++;
      return;
    }
    const body = decodeBody(buffer, start + ANSWER_BYTES, end);
    this.#settle(call);
    if (type === RPC.answer) call.resolve(payloadOf(body, bytes));
    else call.reject(readError(body));
  }

  /** Rejects every waiter, and every later call, with `error`. */
  close(error: FlotillaError): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    for (const call of this.#pending.all()) {
      this.#settle(call);
      call.reject(error);
    }
  }

  /** Gives a call up and tells the peer, which need not finish it. */
  abandon(call: PendingCall, error: FlotillaError): void {
    if (!this.#settle(call)) return;
    call.reject(error);
    if (this.#stream !== undefined) {
      writeMessage(this.#stream, { fieldsEnd: writeAnswer(RPC.cancel, call.id) });
    }
  }

  #settle(call: PendingCall): boolean {
    call.unlisten();
    return this.#pending.delete(call);
  }

  /** The next number that no open call has. */
  #idAfter(id: number): number {
    let next = id;
    do {
      next = next === 0xffffffff ? 1 : next + 1;
    } while (this.#pending.get(next) !== undefined);
    return next;
  }

  #send({ id, procedure, timeoutMs }: CallIdentity, request: Payload): void {
    const { peer, requests } = this.#components;
    const { maxMessageBytes, maxPendingCalls, maxQueuedBytes } = this.limits;
    this.#stream ??= this.#components.openStream();
    if (this.#pending.size >= maxPendingCalls) {
      requests.drops++;
      throw laneFull(peer, 'requests', maxPendingCalls);
    }
    if (this.#stream.queuedBytes > maxQueuedBytes) {
      requests.drops++;
      throw laneFull(peer, 'requests', maxQueuedBytes);
    }
    if (!(timeoutMs > 0)) throw expired(procedure, peer);
    let number = this.#procedures.get(procedure);
    const name = number === undefined ? encodeName(procedure) : undefined;
    number ??= this.#procedures.size;
    if (number >= MAX_PROCEDURES) throw laneFull(peer, 'procedures', MAX_PROCEDURES);
    const body = encodeBody(request.body);
    const fieldsEnd = writeRequest({
      id,
      procedure: number,
      remainingMs: Math.min(Math.ceil(timeoutMs), MAX_REMAINING_MS),
      name,
    });
    const message = { fieldsEnd, body, bytes: request.bytes };
    const size = sizeOf(message);
    checkSize(size, maxMessageBytes);
    checkHead(message);
    if (name !== undefined) this.#procedures.set(procedure, number);
    writeMessage(this.#stream, message);
    requests.sentMessages++;
    requests.sentBytes += size;
  }

  expired(call: PendingCall): void {
    this.abandon(call, expired(call.procedure, this.#components.peer));
  }
}

type Resolve = (payload: Payload) => void;
type Reject = (error: unknown) => void;

const captured: { resolve: Resolve; reject: Reject } = { resolve: () => {}, reject: () => {} };

/** A shared executor: a promise per call without a closure per call. */
function capture(resolve: Resolve, reject: Reject): void {
  captured.resolve = resolve;
  captured.reject = reject;
}

interface CallIdentity {
  readonly id: number;
  readonly procedure: string;
  readonly timeoutMs: number;
}

class PendingCall extends OpenCall {
  readonly procedure: string;
  readonly #client: RpcClient;
  readonly resolve: Resolve = captured.resolve;
  readonly reject: Reject = captured.reject;
  #signal: AbortSignal | undefined;
  #onAbort: (() => void) | undefined;

  constructor(client: RpcClient, { id, procedure, timeoutMs }: CallIdentity) {
    super(id, timeoutMs);
    this.procedure = procedure;
    this.#client = client;
  }

  expire(): void {
    this.#client.expired(this);
  }

  listen(signal: AbortSignal): void {
    this.#signal = signal;
    this.#onAbort = () => this.#client.abandon(this, cancelled(this.procedure, signal));
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  unlisten(): void {
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}

function encodeName(procedure: string): Uint8Array {
  const name = Buffer.from(procedure);
  checkSize(name.length, MAX_NAME_BYTES);
  return name;
}

export function expired(procedure: string, peer: string): FlotillaError {
  const message = `${peer} did not answer ${procedure} before the deadline`;
  return new FlotillaError('deadline_exceeded', message, { details: { peer, procedure } });
}

export function cancelled(procedure: string, signal: AbortSignal): FlotillaError {
  return new FlotillaError('cancelled', `the caller cancelled ${procedure}`, {
    details: { procedure },
    cause: signal.reason,
  });
}
