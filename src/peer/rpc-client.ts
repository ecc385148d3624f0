// The calling end of RPC on one connection: numbers calls, finds the waiter of each answer, and
// wakes every waiter on deadline, cancellation and disconnect. No timer or closure per call.
import { FlotillaError } from '../core/index.ts';
import { decodeBody, encodeBody, frameInvalid, readU32 } from '../wire/index.ts';
import { MAX_NAME_BYTES, MAX_PROCEDURES } from './defaults.ts';
import { laneFull } from './errors.ts';
import { checkHead, checkSize, sizeOf, writeMessage } from './message-writer.ts';
import { payloadOf } from './payload.ts';
import { ANSWER_BYTES, RPC, readError, writeAnswer, writeRequest } from './rpc-messages.ts';
import type { Clock, Deadlines, Expirable } from '../core/index.ts';
import type { SendStream } from '../transport/index.ts';
import type { MessageSink } from '../wire/index.ts';
import type { LaneCounters } from './metrics.ts';
import type { Payload } from './payload.ts';

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
}

const MAX_REMAINING_MS = 0xffffffff;

export class RpcClient implements MessageSink {
  readonly #components: RpcClientComponents;
  readonly #pending = new Map<number, PendingCall>();
  /** Numbers of the procedures that this connection has named. */
  readonly #procedures = new Map<string, number>();
  limits: RpcClientLimits;
  #stream: SendStream | undefined;
  #nextId = 1;
  #closed: FlotillaError | undefined;
  droppedResponses = 0;

  constructor(components: RpcClientComponents, limits: RpcClientLimits) {
    this.#components = components;
    this.limits = limits;
  }

  get pendingCalls(): number {
    return this.#pending.size;
  }

  /** Sends a call that has to be answered before `deadlineMs` (on the clock's `now`). */
  call(
    procedure: string,
    request: Payload,
    { deadlineMs, signal }: { deadlineMs: number; signal?: AbortSignal | undefined },
  ): Promise<Payload> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (signal?.aborted) return Promise.reject(cancelled(procedure, signal));
    const id = this.#nextId;
    try {
      this.#send(id, procedure, request, deadlineMs);
    } catch (error) {
      return Promise.reject(error);
    }
    this.#nextId = id === 0xffffffff ? 1 : id + 1;
    const call = new PendingCall(id, procedure, this);
    const promise = new Promise<Payload>(capture);
    call.resolve = captured.resolve;
    call.reject = captured.reject;
    this.#pending.set(id, call);
    call.tick = this.#components.deadlines.add(call, deadlineMs);
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
    for (const call of [...this.#pending.values()]) {
      this.#settle(call);
      call.reject(error);
    }
  }

  /** Gives a call up and tells the peer, which need not finish it. */
  abandon(call: PendingCall, error: FlotillaError): void {
    if (this.#pending.get(call.id) !== call) return;
    this.#settle(call);
    call.reject(error);
    if (this.#stream !== undefined) {
      writeMessage(this.#stream, { fieldsEnd: writeAnswer(RPC.cancel, call.id) });
    }
  }

  #settle(call: PendingCall): void {
    this.#pending.delete(call.id);
    this.#components.deadlines.remove(call, call.tick);
    call.unlisten();
  }

  #send(id: number, procedure: string, request: Payload, deadlineMs: number): void {
    const { peer, clock, requests } = this.#components;
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
    const remainingMs = Math.ceil(deadlineMs - clock.now());
    if (remainingMs <= 0) throw expired(procedure, peer);
    let number = this.#procedures.get(procedure);
    const name = number === undefined ? encodeName(procedure) : undefined;
    number ??= this.#procedures.size;
    if (number >= MAX_PROCEDURES) throw laneFull(peer, 'procedures', MAX_PROCEDURES);
    const body = encodeBody(request.body);
    const fieldsEnd = writeRequest({
      id,
      procedure: number,
      remainingMs: Math.min(remainingMs, MAX_REMAINING_MS),
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

  /** Called by the deadlines' sweep. */
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

class PendingCall implements Expirable {
  readonly id: number;
  readonly procedure: string;
  readonly #client: RpcClient;
  resolve: Resolve = captured.resolve;
  reject: Reject = captured.reject;
  tick = 0;
  #signal: AbortSignal | undefined;
  #onAbort: (() => void) | undefined;

  constructor(id: number, procedure: string, client: RpcClient) {
    this.id = id;
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
