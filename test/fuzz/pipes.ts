// A network of byte pipes inside one process whose raw bytes a test can read and write: for
// transcripts of what nodes say, and for enemies that speak no protocol at all.
import { FlotillaError } from '../../src/core/index.ts';
import { MuxLink } from '../../src/transport/mux-link.ts';
import type { BytePipe, BytePipeEvents, Link, Transport } from '../../src/transport/link.ts';

/** One end of a pipe: a `BytePipe` for a link, or raw for a test. */
export class PipeEnd implements BytePipe {
  pendingWrites = 0;
  /** True while the other side reads nothing: writes stay pending. */
  stalled = false;
  #onBytes: (bytes: Buffer) => void = () => {};
  #onEnd: () => void = () => {};
  #events: BytePipeEvents | undefined;
  #early: Buffer[] = [];
  #closed = false;
  #ended = false;

  /** What this end writes goes to `other`, a tick later. */
  connect(other: PipeEnd, record: (bytes: Buffer) => void): void {
    this.#onBytes = (bytes) => {
      record(bytes);
      process.nextTick(() => other.deliver(bytes));
    };
    this.#onEnd = () => process.nextTick(() => other.close());
  }

  /** The other side of this end is the test. */
  connectRaw(handlers: { bytes(bytes: Buffer): void; end(): void }): void {
    this.#onBytes = handlers.bytes;
    this.#onEnd = handlers.end;
  }

  get ended(): boolean {
    return this.#ended || this.#closed;
  }

  start(events: BytePipeEvents): void {
    this.#events = events;
    for (const bytes of this.#early.splice(0)) events.data(bytes, 0, bytes.length);
  }

  write(bytes: Uint8Array, owner?: Buffer): void {
    if (this.ended) return;
    this.pendingWrites++;
    this.#onBytes(Buffer.from(bytes));
    if (this.stalled) return;
    process.nextTick(() => {
      this.pendingWrites--;
      if (!this.#closed) this.#events?.written(owner);
    });
  }

  /** Both directions end with it, as after a close frame. */
  end(): void {
    if (this.ended) return;
    this.#ended = true;
    this.#onEnd();
    process.nextTick(() => this.close());
  }

  /** Bytes from the other side. */
  deliver(bytes: Buffer): void {
    if (this.#closed) return;
    if (this.#events === undefined) this.#early.push(bytes);
    else this.#events.data(bytes, 0, bytes.length);
  }

  /** The other side is gone. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#events?.closed(undefined);
  }
}

type Listener = { readonly name: string; readonly onLink: (link: Link) => void };

/** A connection whose other end is raw bytes. */
export interface RawEnd {
  /** Bytes for the node's end, at once. */
  send(bytes: Buffer): void;
  /** True once the node has ended the connection. */
  readonly over: boolean;
  /** What the node wrote, since the last call. */
  read(): Buffer;
  /** Reads nothing from now on, so that what the node writes piles up there. */
  stall(): void;
  /** Ends the connection from this side. */
  leave(): void;
}

export class PipeNetwork {
  /** Called with everything that nodes write to each other. */
  record: (from: string, to: string, bytes: Buffer) => void = () => {};
  readonly #listeners = new Map<string, Listener>();
  readonly #raw = new Map<string, { name: string; accept: (end: RawEnd) => void }>();
  #nextPort = 7400;

  transport(name: string): Transport {
    return {
      name,
      listen: async (address, onLink) => {
        const bound = { host: address.host, port: this.#nextPort++ };
        this.#listeners.set(`${bound.host}:${bound.port}`, { name, onLink });
        return bound;
      },
      connect: async (address) => this.#connect(name, address),
      stop: async () => {},
    };
  }

  /** Connects to a node as `name`, with nothing but bytes. */
  dialRaw(name: string, address: string): RawEnd {
    const listener = this.#listeners.get(address)!;
    const { pipe, raw } = rawPair();
    listener.onLink(link({ pipe, name, dialled: false, address }));
    return raw;
  }

  /** Whoever dials `address` talks to raw bytes and thinks that it is `name`. */
  listenRaw(name: string, address: string, accept: (end: RawEnd) => void): void {
    this.#raw.set(address, { name, accept });
  }

  #connect(from: string, address: string): Link {
    const enemy = this.#raw.get(address);
    if (enemy !== undefined) {
      const { pipe, raw } = rawPair();
      enemy.accept(raw);
      return link({ pipe, name: enemy.name, dialled: true, address });
    }
    const listener = this.#listeners.get(address);
    if (listener === undefined) {
      throw new FlotillaError('peer_unreachable', `nobody listens on ${address}`);
    }
    const near = new PipeEnd();
    const far = new PipeEnd();
    near.connect(far, (bytes) => this.record(from, listener.name, bytes));
    far.connect(near, (bytes) => this.record(listener.name, from, bytes));
    listener.onLink(link({ pipe: far, name: from, dialled: false, address }));
    return link({ pipe: near, name: listener.name, dialled: true, address });
  }
}

function link(of: { pipe: PipeEnd; name: string; dialled: boolean; address: string }): Link {
  const { pipe, name, dialled, address } = of;
  return new MuxLink({
    pipe,
    dialled,
    address,
    remote: { name, fingerprint: `pipe:${name}` },
  });
}

function rawPair(): { pipe: PipeEnd; raw: RawEnd } {
  const pipe = new PipeEnd();
  let written: Buffer[] = [];
  pipe.connectRaw({ bytes: (bytes) => void written.push(bytes), end() {} });
  const raw: RawEnd = {
    send: (bytes) => pipe.deliver(bytes),
    get over() {
      return pipe.ended;
    },
    read() {
      const bytes = Buffer.concat(written);
      written = [];
      return bytes;
    },
    stall() {
      pipe.stalled = true;
    },
    leave: () => pipe.close(),
  };
  return { pipe, raw };
}
