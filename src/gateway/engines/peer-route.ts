// The way to an engine behind another node: over that node's peer link, on a tag of its own for
// each request, so that one slow reader holds up nobody else. Mutual TLS as every link; given up
// end to end. The serving end is `engine-service.ts`.
import { FlotillaError } from '../../core/index.ts';
import { ENGINE_LINK } from '../defaults.ts';
import { readFrame } from './frames.ts';
import type { PeerHost, RawChannel } from '../../peer/index.ts';
import type { EngineCall, EngineRequest, EngineRoute, EngineSink } from '../proxy/engine-route.ts';

export interface PeerRouteComponents {
  readonly host: Pick<PeerHost, 'call' | 'peer'>;
  /** A tag that no other call uses. */
  readonly tag: () => bigint;
}

export interface PeerRouteTarget {
  readonly node: string;
  readonly engine: string;
  /** Names for clients, and what the engine calls them. */
  readonly models: Readonly<Record<string, string>>;
}

export class PeerRoute implements EngineRoute {
  readonly via = 'node';
  readonly #components: PeerRouteComponents;
  readonly #target: PeerRouteTarget;
  #isDialling = false;

  constructor(components: PeerRouteComponents, target: PeerRouteTarget) {
    this.#components = components;
    this.#target = target;
  }

  modelNamed(model: string): string | undefined {
    return Object.hasOwn(this.#target.models, model) ? this.#target.models[model] : undefined;
  }

  open(request: EngineRequest, sink: EngineSink): EngineCall {
    if (this.#components.host.peer(this.#target.node) === undefined) void this.#dial();
    const call = new PeerCall(this.#components, sink);
    void call.start(this.#target, request);
    return call;
  }

  /** For the next try: another engine may be there at once, so nobody waits for a dial. */
  async #dial(): Promise<void> {
    if (this.#isDialling) return;
    this.#isDialling = true;
    const { host } = this.#components;
    const options = { timeoutMs: ENGINE_LINK.listTimeoutMs };
    // A question that nobody needs the answer of makes the link.
    await host
      .call(this.#target.node, ENGINE_LINK.list, { body: null }, options)
      .catch(() => undefined);
    this.#isDialling = false;
  }
}

class PeerCall implements EngineCall {
  readonly #components: PeerRouteComponents;
  readonly #sink: EngineSink;
  readonly #gaveUp = new AbortController();
  #channel: RawChannel | undefined;
  #isOver = false;
  #resume: (() => void) | undefined;

  constructor(components: PeerRouteComponents, sink: EngineSink) {
    this.#components = components;
    this.#sink = sink;
  }

  abort(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#gaveUp.abort(new FlotillaError('cancelled', 'the request was given up'));
    this.#channel?.remove();
    this.#resume?.();
  }

  resume(): void {
    this.#resume?.();
    this.#resume = undefined;
  }

  async start({ node, engine }: PeerRouteTarget, request: EngineRequest): Promise<void> {
    // The sink hears nothing before `open` has returned.
    await undefined;
    const { host, tag } = this.#components;
    const peer = host.peer(node);
    if (peer === undefined) {
      this.#fail(new FlotillaError('peer_unreachable', `there is no link to ${node}`));
      return;
    }
    if (this.#isOver) return;
    const id = tag();
    const channel = peer.tag(id);
    this.#channel = channel;
    const { method, path, headers, body } = request;
    const { signal } = this.#gaveUp;
    const timeoutMs = ENGINE_LINK.timeoutMs;
    const fields = [headers.text, headers.contentLength, headers.hasDate];
    const called = host.call(
      node,
      ENGINE_LINK.call,
      { body: [id.toString(16), engine, method, path, ...fields], bytes: body },
      { timeoutMs, signal },
    );
    // A refusal comes as the call's error, before anything is sent on the channel.
    called.catch((error: FlotillaError) => this.#fail(error));
    try {
      await this.#receiveAll(channel, { timeoutMs, signal });
    } catch (error) {
      this.#fail(error as FlotillaError);
    } finally {
      channel.remove();
    }
  }

  async #receiveAll(
    channel: RawChannel,
    options: { timeoutMs: number; signal: AbortSignal },
  ): Promise<void> {
    while (!this.#isOver) {
      const frame = readFrame(await channel.receive(options));
      if (this.#isOver) return;
      switch (frame.type) {
        case 'head':
          this.#sink.onHead(frame);
          break;
        case 'data':
          if (!this.#sink.onData(frame.bytes)) {
            await new Promise<void>((resolve) => {
              this.#resume = resolve;
            });
          }
          break;
        case 'end':
          this.#isOver = true;
          this.#sink.onEnd();
          break;
        case 'error':
          this.#fail(new FlotillaError(frame.code, frame.message));
          break;
      }
    }
  }

  #fail(error: FlotillaError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#gaveUp.abort(error);
    this.#channel?.remove();
    this.#sink.onError(error);
  }
}
