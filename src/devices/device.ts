// A device as an actor: one address, a bounded queue, and a context that is opened again after a
// fault. It owns who may use which buffer and in which order commands run; memory and arithmetic
// are the context's. Buffers live as long as the context that holds them: their generation.
import { Deadlines, FlotillaError, invalidOption, messageOf, silentLogger } from '../core/index.ts';
import { BufferTable } from './buffer-table.ts';
import { bytesOf, bytesPerElement, DTYPES, hostArrayOf, isDType, isHostArray } from './buffer.ts';
import { DEVICE_DEFAULTS, MAX_TEXT_LENGTH } from './defaults.ts';
import { DeviceCommand } from './device-command.ts';
import { deviceFault, launchInvalid, shown } from './errors.ts';
import { bindLaunch } from './launch.ts';
import { Supervisor } from './supervisor.ts';
import type { Clock, Logger } from '../core/index.ts';
import type { DeviceBackend, DeviceContext } from './backend.ts';
import type { DeviceBuffer, DType, HostArrays } from './buffer.ts';
import type { CommandOptions, CommandParts } from './device-command.ts';
import type { CopyOptions, DeviceCommands } from './device-commands.ts';
import type { Launch } from './launch.ts';
import type { DeviceState } from './supervisor.ts';
import type { DeviceStats } from './stats.ts';

export interface DeviceComponents {
  readonly backend: DeviceBackend;
  readonly clock: Clock;
  readonly logger?: Logger;
}

export interface DeviceOptions {
  /** What the device is called everywhere, for as long as its node has the name: `node-1/cpu-0`. */
  readonly address: string;
  /**
   * Of its first context. A device whose address had another life, in an earlier process, begins
   * above all of that life's: else names of its buffers from then would be taken for new ones.
   * @default 1
   */
  readonly generation?: number;
  /** Commands that may wait. @default 1024 */
  readonly queueLimit?: number;
  /** Host data that waiting commands may hold. @default 256 MiB */
  readonly queueBytes?: number;
  /** Time for a command whose caller sets none. @default 30 000 */
  readonly commandTimeoutMs?: number;
  /** A command that computes for longer is a hang and faults the context. @default 120 000 */
  readonly hangAfterMs?: number;
  /** @default 30 000 */
  readonly openTimeoutMs?: number;
  /** Pause before a context is opened again, doubled up to the maximum. @default 100 */
  readonly rebuildDelayMs?: number;
  /** @default 5 000 */
  readonly maxRebuildDelayMs?: number;
  /** Failures in a row after which the device is dead. @default 8 */
  readonly rebuildAttempts?: number;
}

/**
 * Every command waits its turn, and rejects with `queue_full`, `deadline_exceeded`, `cancelled`,
 * `device_dead`, `device_stopped`, or `device_fault` when the context fails under it; then whether
 * it took effect does not matter, since the buffers are gone.
 */
export class Device implements DeviceCommands {
  readonly address: string;
  readonly #backend: DeviceBackend;
  readonly #clock: Clock;
  readonly #options: Required<DeviceOptions>;
  readonly #deadlines: Deadlines;
  readonly #supervisor: Supervisor;
  readonly #buffers: BufferTable;
  /** In order; a command that settles leaves. */
  readonly #queue = new Set<DeviceCommand>();
  readonly #running = new Set<DeviceCommand>();
  #queuedBytes = 0;
  #busyMs = 0;
  #busySince = 0;
  #launches = 0;
  #stopped: Promise<void> | undefined;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor({ backend, clock, logger = silentLogger }: DeviceComponents, options: DeviceOptions) {
    this.#options = { ...DEVICE_DEFAULTS, ...options };
    const { address, generation, ...limits } = this.#options;
    if (typeof address !== 'string' || address === '') {
      throw invalidOption('address', 'a name', address);
    }
    if (!Number.isSafeInteger(generation) || generation < 1) {
      throw invalidOption('generation', 'a whole number from 1', generation);
    }
    for (const [name, value] of Object.entries(limits)) {
      if (!(value > 0 && value < 2 ** 31)) throw invalidOption(name, 'positive', value);
    }
    this.address = address;
    this.#backend = backend;
    this.#clock = clock;
    this.#deadlines = new Deadlines(clock);
    this.#buffers = new BufferTable(address, generation);
    const log = logger;
    this.#supervisor = new Supervisor({ backend, clock }, limits, {
      opened: (context) => {
        log.info({ device: address, context: context.description }, 'device ready');
        this.#pump();
      },
      lost: (error, willRetry) => {
        log.warn({ device: address, reason: error.message, willRetry }, 'device context lost');
        this.#onLost(error, willRetry);
      },
    });
  }

  get state(): DeviceState {
    return this.#stopped === undefined ? this.#supervisor.state : 'stopped';
  }

  /**
   * Opens the first context; commands may be given before. Rejects with the reason when that fails,
   * and the device is dead until `start` is called again.
   */
  start(): Promise<void> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stoppedError());
    return this.#supervisor.start();
  }

  /** Rejects what waits, lets what runs end, and closes the context. */
  stop(): Promise<void> {
    this.#stopped ??= this.#shutDown();
    return this.#stopped;
  }

  /** A zeroed buffer. Raises `out_of_memory`, `launch_invalid` (dtype, length). */
  allocate<D extends DType>(
    dtype: D,
    length: number,
    options?: CommandOptions,
  ): Promise<DeviceBuffer<D>> {
    const run = async (context: DeviceContext) => {
      if (!isDType(dtype)) throw launchInvalid('dtype', `one of ${DTYPES.join(', ')}`, dtype);
      const most = Number.MAX_SAFE_INTEGER / bytesPerElement(dtype);
      if (!Number.isSafeInteger(length) || length < 1 || length > most) {
        throw launchInvalid('length', 'a whole number from 1', length);
      }
      const room = this.#buffers.reserve(length * bytesPerElement(dtype), context.memoryBytes);
      try {
        const handle = await context.allocate(room.bytes);
        return this.#buffers.add(room, { dtype, length, handle });
      } catch (error) {
        this.#buffers.release(room);
        throw error;
      }
    };
    const undo = (context: DeviceContext, buffer: DeviceBuffer<D>) => {
      void context.free(this.#buffers.remove(buffer).handle).catch(() => {});
    };
    return this.#submit({ what: `allocate on ${this.address}`, bytes: 0, run, undo }, options);
  }

  /** Fills `buffer` from `offset` on. `data` may not change before it resolves. */
  copyIn<D extends DType>(
    buffer: DeviceBuffer<D>,
    data: HostArrays[D],
    options: CopyOptions = {},
  ): Promise<void> {
    const bytes = ArrayBuffer.isView(data) ? data.byteLength : 0;
    const run = async (context: DeviceContext) => {
      const { handle, dtype, length } = this.#buffers.get(buffer);
      if (!isHostArray(dtype, data)) throw launchInvalid('data', `the array of ${dtype}`, data);
      const from = checkRange({ offset: options.offset, length: data.length }, length);
      await context.write(handle, from * bytesPerElement(dtype), bytesOf(data));
    };
    return this.#submit({ what: `copyIn on ${this.address}`, bytes, run }, options);
  }

  /** The elements from `offset` on; `length` of them, or all that follow. */
  copyOut<D extends DType>(
    buffer: DeviceBuffer<D>,
    options: CopyOptions & { readonly length?: number } = {},
  ): Promise<HostArrays[D]> {
    const run = async (context: DeviceContext) => {
      const { handle, dtype, length } = this.#buffers.get(buffer);
      const from = checkRange({ offset: options.offset, length: 0 }, length);
      const wanted = options.length ?? length - from;
      checkRange({ offset: from, length: wanted }, length);
      const size = bytesPerElement(dtype);
      const bytes = await context.read(handle, from * size, wanted * size);
      return hostArrayOf(dtype, bytes) as HostArrays[D];
    };
    return this.#submit({ what: `copyOut on ${this.address}`, bytes: 0, run }, options);
  }

  /** Gives a buffer back. */
  free(buffer: DeviceBuffer, options?: CommandOptions): Promise<void> {
    const run = async (context: DeviceContext) => {
      await context.free(this.#buffers.remove(buffer).handle);
    };
    return this.#submit({ what: `free on ${this.address}`, bytes: 0, run }, options);
  }

  /**
   * Runs a kernel. Raises `launch_invalid`, `buffer_stale`, `buffer_unknown`, `index_out_of_range`,
   * `index_repeated`.
   */
  launch(launch: Launch, options?: CommandOptions): Promise<void> {
    const run = async (context: DeviceContext) => {
      await context.launch(bindLaunch(launch, (buffer) => this.#buffers.get(buffer)));
      this.#launches++;
    };
    const what = `${shown(launch?.kernel)} on ${this.address}`;
    return this.#submit({ what, bytes: 0, run }, options);
  }

  /** Figures of this moment. */
  stats(): DeviceStats {
    const { context, faults, reason } = this.#supervisor;
    const now = this.#clock.now();
    const { generation, count, usedBytes } = this.#buffers;
    return {
      address: this.address,
      backend: this.#backend.kind,
      description: context?.description ?? '',
      capabilities: context?.capabilities ?? [],
      state: this.state,
      generation,
      queued: this.#queue.size,
      active: this.#running.size,
      buffers: count,
      memoryUsed: usedBytes,
      memoryMax: context?.memoryBytes ?? 0,
      launches: this.#launches,
      faults,
      busyMs: this.#busyMs + (this.#running.size > 0 ? now - this.#busySince : 0),
      sampledAtMs: now,
      ...(this.state === 'dead' &&
        reason !== undefined && {
          reason: reason.message.slice(0, MAX_TEXT_LENGTH),
        }),
    };
  }

  #submit<T>(parts: CommandParts<T>, options: CommandOptions = {}): Promise<T> {
    const refusal = this.#refusal(parts.bytes, options);
    if (refusal !== undefined) return Promise.reject(refusal);
    const { timeoutMs = this.#options.commandTimeoutMs, signal } = options;
    const timing = { deadlines: this.#deadlines, nowMs: this.#clock.now(), timeoutMs };
    const command = new DeviceCommand(parts, { ...timing, ...(signal && { signal }) }, (settled) =>
      this.#leaveQueue(settled),
    );
    this.#queue.add(command as DeviceCommand);
    this.#queuedBytes += parts.bytes;
    this.#pump();
    return command.promise;
  }

  #refusal(bytes: number, { timeoutMs = 1, signal }: CommandOptions): FlotillaError | undefined {
    if (this.#stopped !== undefined) return this.#stoppedError();
    if (this.#supervisor.state === 'dead') return this.#supervisor.deadError(this.address);
    if (signal?.aborted) {
      return new FlotillaError('cancelled', 'cancelled beforehand', { cause: signal.reason });
    }
    if (!(timeoutMs > 0)) return invalidOption('timeoutMs', 'positive', timeoutMs);
    const { queueLimit, queueBytes } = this.#options;
    if (this.#queue.size >= queueLimit) {
      const message = `${queueLimit} commands wait for ${this.address}, which is its limit`;
      return new FlotillaError('queue_full', message, { details: { limit: queueLimit } });
    }
    if (this.#queuedBytes > 0 && this.#queuedBytes + bytes > queueBytes) {
      const held = `${this.#queuedBytes} bytes, limit ${queueBytes}`;
      const message = `waiting commands for ${this.address} hold ${held}`;
      return new FlotillaError('queue_full', message, { details: { limit: queueBytes } });
    }
    return undefined;
  }

  #leaveQueue(command: DeviceCommand): void {
    if (this.#queue.delete(command)) this.#queuedBytes -= command.bytes;
  }

  /** Starts what may run now. */
  #pump(): void {
    const { context } = this.#supervisor;
    if (context === undefined || this.#stopped !== undefined) return;
    for (const command of this.#queue) {
      if (this.#running.size >= context.streams) break;
      this.#leaveQueue(command);
      if (this.#running.size === 0) this.#busySince = this.#clock.now();
      this.#running.add(command);
      void this.#run(command, context);
    }
  }

  async #run(command: DeviceCommand, context: DeviceContext): Promise<void> {
    const { hangAfterMs } = this.#options;
    const hang = {
      expire: () => {
        const error = deviceFault(`${command.what} ran for ${hangAfterMs} ms: taken for a hang`);
        this.#supervisor.fault(context, error);
      },
    };
    const tick = this.#deadlines.add(hang, this.#clock.now() + hangAfterMs);
    try {
      await command.run(context);
      this.#supervisor.worked(context);
    } catch (error) {
      command.reject(error);
      if (error instanceof FlotillaError && error.code === 'device_fault') {
        this.#supervisor.fault(context, error);
      } else if (!(error instanceof FlotillaError)) {
        const message = `${command.what} failed: ${messageOf(error)}`;
        this.#supervisor.fault(context, deviceFault(message, error));
      }
    }
    this.#deadlines.remove(hang, tick);
    this.#finish(command);
  }

  #finish(command: DeviceCommand): void {
    if (!this.#running.delete(command)) return;
    if (this.#running.size === 0) {
      this.#busyMs += this.#clock.now() - this.#busySince;
      this.#idle?.resolve();
    }
    this.#pump();
  }

  #onLost(error: FlotillaError, willRetry: boolean): void {
    this.#buffers.nextGeneration();
    for (const command of [...this.#running]) {
      command.reject(error);
      this.#finish(command);
    }
    if (willRetry) return;
    for (const command of [...this.#queue]) {
      command.reject(this.#supervisor.deadError(this.address));
    }
  }

  async #shutDown(): Promise<void> {
    const error = this.#stoppedError();
    for (const command of [...this.#queue]) command.reject(error);
    if (this.#running.size > 0 && this.#supervisor.context !== undefined) {
      this.#idle = Promise.withResolvers();
      await this.#idle.promise;
    }
    await this.#supervisor.stop();
    this.#buffers.nextGeneration();
    this.#deadlines.stop();
  }

  #stoppedError(): FlotillaError {
    return new FlotillaError('device_stopped', `${this.address} was stopped`);
  }
}

/** The first element of a copy that lies inside a buffer. */
function checkRange(
  { offset = 0, length }: { offset?: number | undefined; length: number },
  size: number,
): number {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
  if (whole && offset >= 0 && length >= 0 && offset + length <= size) return offset;
  const given = `${shown(offset)} and ${shown(length)}`;
  throw launchInvalid('offset and length', `inside a buffer of ${size} elements`, given);
}
