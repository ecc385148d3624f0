// Calls of a node to itself: the same rules as over a connection, without the network. Bodies pass
// through the codec and bytes are copied, so that neither side can tell the difference.
import { FlotillaError } from '../core/index.ts';
import { decodeBody, encodeBody } from '../wire/index.ts';
import { payloadOf } from './payload.ts';
import { cancelled, expired } from './rpc-client.ts';
import { errorBody, readError } from './rpc-messages.ts';
import { unknownProcedure } from './rpc-server.ts';
import type { Deadlines, Logger } from '../core/index.ts';
import type { ControlHandler, Handler, Payload } from './payload.ts';

export interface LocalCallsComponents {
  readonly name: string;
  readonly deadlines: Deadlines;
  readonly log: Logger;
  readonly handlers: ReadonlyMap<string, Handler>;
  readonly controls: ReadonlyMap<string, ControlHandler>;
}

export interface LocalCallOptions {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

export class LocalCalls {
  readonly #components: LocalCallsComponents;
  readonly #running = new Set<(error: FlotillaError) => void>();

  constructor(components: LocalCallsComponents) {
    this.#components = components;
  }

  async call(procedure: string, request: Payload, options: LocalCallOptions): Promise<Payload> {
    const { deadlineMs, signal } = options;
    if (signal?.aborted) throw cancelled(procedure, signal);
    const controller = new AbortController();
    const { promise: given, reject } = Promise.withResolvers<never>();
    const giveUp = (error: FlotillaError) => {
      controller.abort(error);
      reject(error);
    };
    const onAbort = () => giveUp(cancelled(procedure, signal!));
    const { deadlines, name } = this.#components;
    const expirable = { expire: () => giveUp(expired(procedure, name)) };
    const tick = deadlines.add(expirable, deadlineMs);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#running.add(giveUp);
    try {
      return await Promise.race([this.#run(procedure, copyOf(request), controller.signal), given]);
    } finally {
      this.#running.delete(giveUp);
      deadlines.remove(expirable, tick);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  control(kind: string, body: unknown): boolean {
    const { controls, log, name } = this.#components;
    const handler = controls.get(kind);
    if (handler === undefined) return true;
    const { body: copy } = copyOf({ body });
    queueMicrotask(() => {
      try {
        handler(copy, name);
      } catch (error) {
        log.error({ peer: name, kind, err: error }, 'a control handler failed');
      }
    });
    return true;
  }

  stop(error: FlotillaError): void {
    for (const giveUp of [...this.#running]) giveUp(error);
  }

  async #run(procedure: string, request: Payload, signal: AbortSignal): Promise<Payload> {
    const { handlers, log, name } = this.#components;
    // As over a connection, the handler never runs within the caller's own step.
    await undefined;
    const handler = handlers.get(procedure);
    if (handler === undefined) throw unknownProcedure(name, procedure);
    try {
      return copyOf(await handler(request, { peer: name, signal }));
    } catch (error) {
      if (!(error instanceof FlotillaError)) {
        log.error({ peer: name, procedure, err: error }, 'a handler failed');
      }
      throw readError(errorBody(error, procedure));
    }
  }
}

function copyOf({ body, bytes }: Payload): Payload {
  const { buffer, start, end } = encodeBody(body);
  const copy = decodeBody(buffer, start, end);
  return payloadOf(copy, bytes === undefined ? undefined : new Uint8Array(bytes));
}
