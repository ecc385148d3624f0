// A device without hardware, for tests of what lies above: plain memory, the reference kernels, and
// a hand on every moment that matters: opening fails, a call hangs, the context dies.
import { FlotillaError } from '../../src/core/index.ts';
import { bytesPerElement, hostArrayOf } from '../../src/devices/buffer.ts';
import { deviceFault } from '../../src/devices/errors.ts';
import { runReference } from './reference.ts';
import type { DeviceBackend, DeviceContext } from '../../src/devices/index.ts';
import type { Bound, BoundLaunch } from '../../src/devices/launch.ts';

export class MockBackend implements DeviceBackend {
  readonly kind = 'mock';
  /** Openings that fail before one succeeds. */
  failures = 0;
  /** What opening waits for, and what each call of a context waits for. */
  openGate: Promise<void> = Promise.resolve();
  gate: Promise<void> = Promise.resolve();
  opened: MockContext[] = [];
  /** What contexts were asked, in order. */
  readonly calls: string[] = [];
  memoryBytes = 2 ** 20;
  streams = 1;
  capabilities: readonly string[] = ['plain'];
  description = 'mock';

  async open(): Promise<DeviceContext> {
    await this.openGate;
    if (this.failures > 0) {
      this.failures--;
      throw new FlotillaError('backend_unavailable', 'the mock was told to fail');
    }
    const context = new MockContext(this);
    this.opened.push(context);
    return context;
  }

  /** The context that was opened last. */
  get context(): MockContext {
    return this.opened.at(-1)!;
  }
}

export class MockContext implements DeviceContext {
  readonly description: string;
  readonly capabilities: readonly string[];
  readonly memoryBytes: number;
  readonly streams: number;
  readonly lost: Promise<FlotillaError>;
  closed = false;
  readonly #backend: MockBackend;
  readonly #blocks = new Map<number, Uint8Array>();
  readonly #loss = Promise.withResolvers<FlotillaError>();
  #lastHandle = 0;

  constructor(backend: MockBackend) {
    this.#backend = backend;
    this.lost = this.#loss.promise;
    const { memoryBytes, streams, capabilities, description } = backend;
    this.description = description;
    this.memoryBytes = memoryBytes;
    this.streams = streams;
    this.capabilities = capabilities;
  }

  /** Blocks that are allocated. */
  get blocks(): number {
    return this.#blocks.size;
  }

  die(why = 'the mock was told to die'): void {
    this.#loss.resolve(deviceFault(why));
  }

  async allocate(bytes: number): Promise<number> {
    await this.#enter(`allocate ${bytes}`);
    this.#blocks.set(++this.#lastHandle, new Uint8Array(bytes));
    return this.#lastHandle;
  }

  async free(handle: number): Promise<void> {
    await this.#enter(`free ${handle}`);
    this.#blocks.delete(handle);
  }

  async write(handle: number, offset: number, data: Uint8Array): Promise<void> {
    await this.#enter(`write ${handle}`);
    this.#block(handle).set(data, offset);
  }

  async read(handle: number, offset: number, bytes: number): Promise<Uint8Array> {
    await this.#enter(`read ${handle}`);
    return this.#block(handle).slice(offset, offset + bytes);
  }

  async launch(launch: BoundLaunch): Promise<void> {
    await this.#enter(launch.kernel);
    runReference(launch, ({ handle, dtype, length }: Bound) =>
      hostArrayOf(dtype, this.#block(handle).subarray(0, length * bytesPerElement(dtype))),
    );
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  async #enter(call: string): Promise<void> {
    this.#backend.calls.push(call);
    await this.#backend.gate;
  }

  #block(handle: number): Uint8Array {
    const block = this.#blocks.get(handle);
    if (block === undefined) throw new Error(`no block ${handle}`);
    return block;
  }
}
