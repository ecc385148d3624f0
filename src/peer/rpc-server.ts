// The answering end of RPC on one connection: runs handlers, sends their answers or typed errors,
// and aborts what nobody waits for any more. A fault in a handler costs that call and nothing else.
import { FlotillaError } from '../core/index.ts';
import { decodeBody, encodeBody, frameInvalid, readU32 } from '../wire/index.ts';
import { BULK_ANSWER_BYTES, MAX_PROCEDURES } from './defaults.ts';
import { laneFull } from './errors.ts';
import { checkHead, checkSize, sizeOf, writeMessage } from './message-writer.ts';
import { OpenCall, OpenCalls } from './open-calls.ts';
import { payloadOf } from './payload.ts';
import { ANSWER_BYTES, errorBody, NAMED, REQUEST_BYTES, RPC, writeAnswer } from './rpc-messages.ts';
import { expired } from './rpc-client.ts';
import type { Clock, Deadlines, Logger } from '../core/index.ts';
import type { SendStream } from '../transport/index.ts';
import type { MessageSink } from '../wire/index.ts';
import type { LaneCounters } from './metrics.ts';
import type { CallContext, Handler, Payload } from './payload.ts';

export interface RpcServerComponents {
  /** The caller's verified name. */
  readonly peer: string;
  readonly name: string;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly log: Logger;
  readonly handlers: ReadonlyMap<string, Handler>;
  readonly requests: LaneCounters;
  readonly responses: LaneCounters;
  openStream(): SendStream;
}

export interface RpcServerLimits {
  readonly maxMessageBytes: number;
  readonly maxInboundCalls: number;
  readonly maxInboundBytes: number;
  readonly maxQueuedBytes: number;
}

/** Characters of a procedure's name that errors repeat. */
const SHOWN_NAME_LENGTH = 80;

export class RpcServer implements MessageSink {
  readonly #components: RpcServerComponents;
  limits: RpcServerLimits;
  /** Names of the procedures by the caller's number. */
  readonly #procedures: string[] = [];
  readonly #running: OpenCalls<InboundCall>;
  /** Handlers that have not returned, and their requests' bytes: also of calls given up since. */
  #busyHandlers = 0;
  #busyBytes = 0;
  #stream: SendStream | undefined;
  #bulkStream: SendStream | undefined;
  #closed: FlotillaError | undefined;
  lateAnswers = 0;

  constructor(components: RpcServerComponents, limits: RpcServerLimits) {
    this.#components = components;
    this.#running = new OpenCalls(components.clock, components.deadlines);
    this.limits = limits;
  }

  /** The caller's verified name. */
  get peer(): string {
    return this.#components.peer;
  }

  get runningCalls(): number {
    return this.#running.size;
  }

  /** A request or a cancellation. */
  message(buffer: Uint8Array, start: number, end: number, bytes: Uint8Array | undefined): void {
    const { requests } = this.#components;
    requests.receivedMessages++;
    const size = end - start + (bytes?.length ?? 0);
    requests.receivedBytes += size;
    const type = buffer[start];
    if (type === RPC.cancel && end - start === ANSWER_BYTES) {
      this.#cancel(readU32(buffer, start + 4));
      return;
    }
    if (type !== RPC.request || end - start < REQUEST_BYTES) {
      throw frameInvalid(`a request of type ${type} and ${end - start} bytes`);
    }
    const number = buffer[start + 2]! | (buffer[start + 3]! << 8);
    let bodyAt = start + REQUEST_BYTES;
    if (buffer[start + 1] === NAMED) bodyAt = this.#learnName(number, { buffer, at: bodyAt, end });
    const procedure = this.#procedures[number];
    if (procedure === undefined) throw frameInvalid(`a request for procedure number ${number}`);
    const id = readU32(buffer, start + 4);
    if (this.#running.get(id) !== undefined) throw frameInvalid(`request ${id} twice`);
    const body = decodeBody(buffer, bodyAt, end);
    const timeoutMs = readU32(buffer, start + 8);
    const call = new InboundCall(this, { id, procedure, timeoutMs, size });
    this.#run(call, payloadOf(body, bytes));
  }

  /** Aborts what runs; its answers have nowhere to go. */
  close(error: FlotillaError): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    for (const call of this.#running.all()) this.#stopCall(call, error);
  }

  /** The caller's deadline passed: it has given up by itself. */
  expired(call: InboundCall): void {
    this.#stopCall(call, expired(call.procedure, this.#components.name));
  }

  #learnName(
    number: number,
    { buffer, at, end }: { buffer: Uint8Array; at: number; end: number },
  ): number {
    const length = buffer[at] ?? 0;
    const nameEnd = at + 1 + length;
    if (number !== this.#procedures.length || number >= MAX_PROCEDURES || nameEnd > end) {
      throw frameInvalid(`a name for procedure number ${number}`);
    }
    const name = Buffer.from(buffer.buffer, buffer.byteOffset + at + 1, length);
    this.#procedures.push(name.toString('utf8'));
    return nameEnd;
  }

  #run(call: InboundCall, request: Payload): void {
    const { handlers, peer, name } = this.#components;
    const { maxInboundCalls, maxInboundBytes, maxQueuedBytes } = this.limits;
    const queuedBytes = (this.#stream?.queuedBytes ?? 0) + (this.#bulkStream?.queuedBytes ?? 0);
    if (queuedBytes > maxQueuedBytes) {
      // Who goes on asking without reading even the refusals costs memory without end.
      if (queuedBytes > 2 * maxQueuedBytes) throw laneFull(name, 'responses', maxQueuedBytes);
      this.#components.requests.drops++;
      this.#fail(call, laneFull(name, `responses to ${peer}`, maxQueuedBytes));
      return;
    }
    const handler = handlers.get(call.procedure);
    if (handler === undefined) {
      this.#fail(call, unknownProcedure(name, call.procedure));
      return;
    }
    const tooMany = this.#busyHandlers >= maxInboundCalls;
    if (tooMany || this.#busyBytes > maxInboundBytes) {
      this.#components.requests.drops++;
      const limit = tooMany ? maxInboundCalls : maxInboundBytes;
      this.#fail(call, laneFull(name, `requests of ${peer}`, limit));
      return;
    }
    let result: Payload | Promise<Payload>;
    try {
      result = handler(request, call);
    } catch (error) {
      this.#fail(call, error);
      return;
    }
    if (result instanceof Promise) void this.#finishLater(call, result);
    else this.#answer(call, result);
  }

  async #finishLater(call: InboundCall, result: Promise<Payload>): Promise<void> {
    this.#running.add(call);
    this.#busyHandlers++;
    this.#busyBytes += call.size;
    try {
      const payload = await result;
      if (this.#release(call)) this.#answer(call, payload);
    } catch (error) {
      if (this.#release(call)) this.#fail(call, error);
    } finally {
      this.#busyHandlers--;
      this.#busyBytes -= call.size;
    }
  }

  /** True when somebody still waits for the call. */
  #release(call: InboundCall): boolean {
    if (this.#running.delete(call)) return true;
    this.lateAnswers++;
    return false;
  }

  #cancel(id: number): void {
    const call = this.#running.get(id);
    if (call === undefined) return;
    const { peer } = this.#components;
    this.#stopCall(call, new FlotillaError('cancelled', `${peer} cancelled ${call.procedure}`));
  }

  #stopCall(call: InboundCall, error: FlotillaError): void {
    if (this.#running.delete(call)) call.abort(error);
  }

  #answer(call: InboundCall, payload: Payload): void {
    try {
      // Read inside the guard: a handler in plain JavaScript may have returned anything.
      const { body, bytes } = payload;
      this.#send(call.id, RPC.answer, { body, bytes });
    } catch (error) {
      this.#fail(call, error);
    }
  }

  #fail(call: InboundCall, error: unknown): void {
    const { log, peer } = this.#components;
    if (!(error instanceof FlotillaError)) {
      log.error({ peer, procedure: call.procedure, err: error }, 'a handler failed');
    }
    try {
      this.#send(call.id, RPC.error, { body: errorBody(error, call.procedure), bytes: undefined });
    } catch (failure) {
      // Details that cannot be encoded, or are too large: code and message alone tell enough, and
      // are below the least limit that a peer may name.
      log.error({ peer, procedure: call.procedure, err: failure }, 'an error could not be sent');
      const message = `${call.procedure.slice(0, SHOWN_NAME_LENGTH)} failed`;
      const body = { code: 'handler_failed', message };
      this.#send(call.id, RPC.error, { body, bytes: undefined });
    }
  }

  #send(
    id: number,
    type: number,
    { body, bytes }: { body: unknown; bytes: Uint8Array | undefined },
  ): void {
    if (this.#closed !== undefined) return;
    const { responses } = this.#components;
    const encoded = encodeBody(body);
    const message = { fieldsEnd: writeAnswer(type, id), body: encoded, bytes };
    const size = sizeOf(message);
    checkSize(size, this.limits.maxMessageBytes);
    checkHead(message);
    const stream = size > BULK_ANSWER_BYTES ? this.#bulk() : this.#small();
    writeMessage(stream, message);
    responses.sentMessages++;
    responses.sentBytes += size;
  }

  #small(): SendStream {
    this.#stream ??= this.#components.openStream();
    return this.#stream;
  }

  #bulk(): SendStream {
    this.#bulkStream ??= this.#components.openStream();
    return this.#bulkStream;
  }
}

export function unknownProcedure(name: string, procedure: string): FlotillaError {
  const shown = procedure.slice(0, SHOWN_NAME_LENGTH);
  return new FlotillaError('unknown_procedure', `${name} has no procedure "${shown}"`, {
    details: { peer: name, procedure: shown },
  });
}

interface InboundIdentity {
  readonly id: number;
  readonly procedure: string;
  readonly timeoutMs: number;
  readonly size: number;
}

/** One call that runs here, and what its handler sees of it. */
class InboundCall extends OpenCall implements CallContext {
  readonly procedure: string;
  /** Bytes of the request, which its handler may hold. */
  readonly size: number;
  readonly #server: RpcServer;
  #controller: AbortController | undefined;

  constructor(server: RpcServer, call: InboundIdentity) {
    super(call.id, call.timeoutMs);
    this.size = call.size;
    this.#server = server;
    this.procedure = call.procedure;
  }

  get peer(): string {
    return this.#server.peer;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  abort(error: FlotillaError): void {
    // Kept also when nobody has looked yet: a handler that looks later finds it aborted.
    this.#controller ??= new AbortController();
    this.#controller.abort(error);
  }

  expire(): void {
    this.#server.expired(this);
  }
}
