// What the tests of the store share: directories that go away, and an in-process stand-in for the
// peer layer that encodes bodies for real and can be cut off.
import { EventEmitter } from 'node:events';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { FlotillaError } from '../../src/core/index.ts';
import { decodeBody, encodeBody } from '../../src/wire/index.ts';
import type { TestContext } from 'node:test';
import type { CallOptions, Handler, Payload, RpcHost } from '../../src/peer/index.ts';

export function temporaryDirectory(t: TestContext): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'flotilla-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** As it would arrive: the body through MessagePack, the bytes as a copy of their own. */
function transfer({ body, bytes }: Payload): Payload {
  const { buffer, start, end } = encodeBody(body);
  const received = decodeBody(new Uint8Array(buffer.subarray(start, end)));
  return { body: received, ...(bytes && bytes.length > 0 && { bytes: Buffer.from(bytes) }) };
}

/** One founder, called by whoever holds this. */
export class FakeHost implements RpcHost {
  readonly name = 'founder';
  readonly calls: string[] = [];
  readonly #handlers = new Map<string, Handler>();
  readonly #wire = new EventEmitter<{ cut: [] }>().setMaxListeners(0);
  connected = true;

  handle(procedure: string, handler: Handler): void {
    this.#handlers.set(procedure, handler);
  }

  /** Forgets the handlers, as when the founder's process starts anew. */
  restart(): void {
    this.#handlers.clear();
  }

  /** Breaks the connection: calls in flight fail, as do new ones until `connected` is set again. */
  cut(): void {
    this.connected = false;
    this.#wire.emit('cut');
  }

  async call(
    name: string,
    procedure: string,
    request: Payload,
    options: CallOptions = {},
  ): Promise<Payload> {
    this.calls.push(procedure);
    if (!this.connected) throw new FlotillaError('peer_unreachable', `${name} does not answer`);
    const handler = this.#handlers.get(procedure);
    if (handler === undefined) throw new FlotillaError('unknown_procedure', procedure);
    const incoming = transfer(request);
    const lost = new AbortController();
    const broken = Promise.withResolvers<never>();
    const fail = (code: string) => {
      lost.abort();
      broken.reject(new FlotillaError(code, `the call ended: ${code}`));
    };
    const onCut = () => fail('peer_disconnected');
    const onAbort = () => fail('cancelled');
    this.#wire.on('cut', onCut);
    options.signal?.addEventListener('abort', onAbort);
    try {
      await Promise.race([Promise.resolve(), broken.promise]);
      const context = { peer: 'caller', signal: lost.signal };
      return transfer(await Promise.race([handler(incoming, context), broken.promise]));
    } finally {
      this.#wire.off('cut', onCut);
      options.signal?.removeEventListener('abort', onAbort);
    }
  }
}
