// A GPU as a device, through WebGPU (the optional npm package `webgpu`). The binding lives on a
// thread of its own; here calls become messages and replies become promises.
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { FlotillaError, invalidOption, messageOf } from '../core/index.ts';
import { DEFAULT_GPU_MEMORY_BYTES, GPU_CLOSE_TIMEOUT_MS, GPU_STREAMS } from './defaults.ts';
import { deviceFault } from './errors.ts';
import type { Clock } from '../core/index.ts';
import type { DeviceBackend, DeviceContext } from './backend.ts';
import type { BoundLaunch } from './launch.ts';
import type {
  WebGpuCall,
  WebGpuReply,
  WebGpuRequest,
  WebGpuWorkerData,
} from './webgpu-protocol.ts';

export interface WebGpuBackendOptions {
  /** What buffers may take; WebGPU does not tell what the GPU has. @default 1 GiB */
  readonly memoryBytes?: number;
  /** Package that has the binding. @default 'webgpu' */
  readonly module?: string;
}

/** Opens contexts on the machine's best adapter. */
export class WebGpuBackend implements DeviceBackend {
  readonly kind = 'webgpu';
  readonly #clock: Clock;
  readonly #memoryBytes: number;
  readonly #module: string;

  constructor({ clock }: { readonly clock: Clock }, options: WebGpuBackendOptions = {}) {
    const { memoryBytes = DEFAULT_GPU_MEMORY_BYTES, module = 'webgpu' } = options;
    if (!Number.isSafeInteger(memoryBytes) || memoryBytes < 1) {
      throw invalidOption('memoryBytes', 'a whole number from 1', memoryBytes);
    }
    this.#clock = clock;
    this.#memoryBytes = memoryBytes;
    this.#module = module;
  }

  /** Raises `backend_unavailable`, which names what is missing. */
  async open(): Promise<DeviceContext> {
    // The compiled package has .js files where this one has .ts.
    const file = new URL('./webgpu-worker.ts', import.meta.url);
    file.pathname = file.pathname.replace(/\.ts$/, extname(new URL(import.meta.url).pathname));
    const workerData: WebGpuWorkerData = { module: this.#module };
    const context = new WebGpuContext(
      new Worker(file, { workerData }),
      this.#clock,
      this.#memoryBytes,
    );
    await context.ready;
    return context;
  }
}

interface Waiter {
  resolve(result: unknown): void;
  reject(error: FlotillaError): void;
}

class WebGpuContext implements DeviceContext {
  description = '';
  capabilities: readonly string[] = [];
  readonly memoryBytes: number;
  readonly streams = GPU_STREAMS;
  readonly lost: Promise<FlotillaError>;
  /** Resolves when the adapter is open. */
  readonly ready: Promise<void>;
  readonly #worker: Worker;
  readonly #clock: Clock;
  readonly #loss = Promise.withResolvers<FlotillaError>();
  readonly #opened = Promise.withResolvers<void>();
  readonly #exited: Promise<void>;
  readonly #waiters = new Map<number, Waiter>();
  #lastId = 0;
  #closing = false;

  constructor(worker: Worker, clock: Clock, memoryBytes: number) {
    this.#worker = worker;
    this.#clock = clock;
    this.memoryBytes = memoryBytes;
    this.lost = this.#loss.promise;
    this.ready = this.#opened.promise;
    worker.on('message', (reply: WebGpuReply) => this.#onReply(reply));
    worker.on('error', (error) => this.#lose(`the GPU thread failed: ${messageOf(error)}`, error));
    this.#exited = new Promise((resolve) => {
      worker.on('exit', (status) => {
        this.#lose(`the GPU thread ended with status ${status}`);
        resolve();
      });
    });
  }

  async allocate(bytes: number): Promise<number> {
    return (await this.#ask({ call: 'allocate', bytes })) as number;
  }

  async free(handle: number): Promise<void> {
    await this.#ask({ call: 'free', handle });
  }

  async write(handle: number, offset: number, data: Uint8Array): Promise<void> {
    const copy = data.slice();
    await this.#ask({ call: 'write', handle, offset, data: copy }, [copy.buffer as ArrayBuffer]);
  }

  async read(handle: number, offset: number, bytes: number): Promise<Uint8Array> {
    return (await this.#ask({ call: 'read', handle, offset, bytes })) as Uint8Array;
  }

  async launch(launch: BoundLaunch): Promise<void> {
    await this.#ask({ call: 'launch', launch });
  }

  async close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      this.#rejectAll(deviceFault('the GPU context was closed'));
      this.#worker.postMessage({ id: 0, call: 'close' } satisfies WebGpuRequest);
    }
    // A thread that hangs in the driver does not hear.
    const timer = this.#clock.schedule(GPU_CLOSE_TIMEOUT_MS, () => void this.#worker.terminate());
    await this.#exited;
    timer.cancel();
  }

  #ask(call: WebGpuCall, transfer: ArrayBuffer[] = []): Promise<unknown> {
    if (this.#closing) return Promise.reject(deviceFault('the GPU context was closed'));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiters.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ...call } satisfies WebGpuRequest, transfer);
    });
  }

  #onReply(reply: WebGpuReply): void {
    switch (reply.type) {
      case 'ready':
        this.description = reply.description;
        this.capabilities = reply.capabilities;
        this.#opened.resolve();
        return;
      case 'unavailable': {
        const { code, message, details } = reply.failure;
        this.#opened.reject(new FlotillaError(code, message, { details }));
        return;
      }
      case 'lost':
        this.#lose(`the GPU was lost: ${reply.message}`);
        return;
      case 'done':
        this.#takeWaiter(reply.id)?.resolve(reply.result);
        return;
      case 'failed': {
        const { code, message, details } = reply.failure;
        this.#takeWaiter(reply.id)?.reject(new FlotillaError(code, message, { details }));
      }
    }
  }

  #takeWaiter(id: number): Waiter | undefined {
    const waiter = this.#waiters.get(id);
    this.#waiters.delete(id);
    return waiter;
  }

  #lose(message: string, cause?: unknown): void {
    const error = deviceFault(message, cause);
    this.#opened.reject(error);
    this.#rejectAll(error);
    if (!this.#closing) this.#loss.resolve(error);
  }

  #rejectAll(error: FlotillaError): void {
    for (const waiter of this.#waiters.values()) waiter.reject(error);
    this.#waiters.clear();
  }
}
