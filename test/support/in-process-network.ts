// Hosts in one process that call each other directly, for tests of what stands on the peer layer:
// bodies go through the codec and bytes are copied, as on a real connection, and hosts can die.
import { setImmediate } from 'node:timers/promises';
import { FlotillaError } from '../../src/core/index.ts';
import { decodeBody, encodeBody } from '../../src/wire/index.ts';
import type { CallOptions, Handler, Payload, RpcHost } from '../../src/peer/index.ts';

type Peer = { readonly name: string };

/** Hosts by name. A host that is cut off cannot be called, and the others are told. */
export class InProcessNetwork {
  readonly hosts = new Map<string, InProcessHost>();
  /** Every call, `caller>node procedure`. */
  readonly calls: string[] = [];

  host(name: string): InProcessHost {
    const host = new InProcessHost(this, name);
    this.hosts.set(name, host);
    return host;
  }

  cut(name: string): void {
    this.hosts.delete(name);
    for (const host of this.hosts.values()) host.tellDisconnect(name);
  }

  /** Calls of a procedure between nodes; a node's calls to itself are not among them. */
  countOf(procedure: string): number {
    return this.calls.filter((call) => {
      const [nodes, called] = call.split(' ');
      const [caller, node] = nodes!.split('>');
      return called === procedure && caller !== node;
    }).length;
  }
}

export class InProcessHost implements RpcHost {
  readonly name: string;
  readonly #network: InProcessNetwork;
  readonly #handlers = new Map<string, Handler>();
  readonly #listeners: ((peer: Peer) => void)[] = [];

  constructor(network: InProcessNetwork, name: string) {
    this.#network = network;
    this.name = name;
  }

  /** Offers a procedure; in place of the earlier handler, if there is one. */
  handle(procedure: string, handler: Handler): void {
    this.#handlers.set(procedure, handler);
  }

  onDisconnect(listener: (peer: Peer) => void): void {
    this.#listeners.push(listener);
  }

  tellDisconnect(name: string): void {
    for (const listener of this.#listeners) listener({ name });
  }

  async call(
    name: string,
    procedure: string,
    request: Payload,
    options: CallOptions = {},
  ): Promise<Payload> {
    const { hosts, calls } = this.#network;
    options.signal?.throwIfAborted();
    calls.push(`${this.name}>${name} ${procedure}`);
    const target = hosts.get(name);
    if (target !== this) await setImmediate();
    if (target === undefined) throw gone('peer_unreachable', name);
    const handler = target.#handlers.get(procedure);
    if (handler === undefined) {
      throw new FlotillaError('unknown_procedure', `${name} does not offer ${procedure}`);
    }
    const signal = options.signal ?? new AbortController().signal;
    const reply = await handler(travelled(request), { peer: this.name, signal });
    if (hosts.get(name) !== target) throw gone('peer_disconnected', name);
    options.signal?.throwIfAborted();
    return travelled(reply);
  }
}

function gone(code: 'peer_unreachable' | 'peer_disconnected', name: string): FlotillaError {
  return new FlotillaError(code, `${name} is gone`, { details: { peer: name } });
}

/** The payload at the other end: nothing is shared, and bytes may begin at an odd place. */
function travelled({ body, bytes }: Payload): Payload {
  const { buffer, start, end } = encodeBody(body);
  const copy = decodeBody(Uint8Array.from(buffer.subarray(start, end)));
  if (bytes === undefined) return { body: copy };
  const frame = new Uint8Array(bytes.length + 3);
  frame.set(bytes, 3);
  return { body: copy, bytes: frame.subarray(3) };
}
