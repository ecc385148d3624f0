// The buffers of one device: which exist, in which generation, and how much memory they take. A
// name that comes in is data from anywhere; what it stands for is read here, never from the name.
import { FlotillaError } from '../core/index.ts';
import { BLOCK_ALIGNMENT_BYTES } from './defaults.ts';
import { deviceFault, shown } from './errors.ts';
import type { DeviceBuffer, DType } from './buffer.ts';
import type { Bound } from './launch.ts';

interface Entry extends Bound {
  readonly bytes: number;
}

/** Room that was counted in for a buffer that is being allocated. */
export interface Reservation {
  readonly bytes: number;
  readonly generation: number;
}

/** Ids are never used twice, in any generation. */
export class BufferTable {
  readonly #device: string;
  readonly #entries = new Map<number, Entry>();
  #generation: number;
  #lastId = 0;
  #usedBytes = 0;

  constructor(device: string, generation: number) {
    this.#device = device;
    this.#generation = generation;
  }

  get generation(): number {
    return this.#generation;
  }

  get count(): number {
    return this.#entries.size;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Counts a block in before it is allocated. Raises `out_of_memory`. */
  reserve(bytes: number, limit: number): Reservation {
    const size = Math.ceil(bytes / BLOCK_ALIGNMENT_BYTES) * BLOCK_ALIGNMENT_BYTES;
    if (this.#usedBytes + size > limit) {
      throw new FlotillaError(
        'out_of_memory',
        `no room for ${size} bytes on ${this.#device}: ${this.#usedBytes} of ${limit} are taken`,
        { details: { requested: size, used: this.#usedBytes, limit } },
      );
    }
    this.#usedBytes += size;
    return { bytes: size, generation: this.#generation };
  }

  /** Takes a reservation back that came to nothing. */
  release({ bytes, generation }: Reservation): void {
    if (generation === this.#generation) this.#usedBytes -= bytes;
  }

  /** Names a block. Raises `device_fault` when its context was lost meanwhile. */
  add<D extends DType>(
    { bytes, generation }: Reservation,
    block: Bound & { readonly dtype: D },
  ): DeviceBuffer<D> {
    if (generation !== this.#generation) throw deviceFault(`${this.#device} lost its context`);
    const id = ++this.#lastId;
    this.#entries.set(id, { ...block, bytes });
    const { dtype, length } = block;
    return { device: this.#device, id, generation: this.#generation, dtype, length };
  }

  /** Raises `buffer_stale`, `buffer_unknown`. */
  get(buffer: unknown): Bound {
    return this.#find(buffer).entry;
  }

  /** Forgets a buffer. Raises `buffer_stale`, `buffer_unknown`. */
  remove(buffer: DeviceBuffer): Bound {
    const { id, entry } = this.#find(buffer);
    this.#entries.delete(id);
    this.#usedBytes -= entry.bytes;
    return entry;
  }

  /** The context is gone, and all buffers with it. */
  nextGeneration(): void {
    this.#generation++;
    this.#entries.clear();
    this.#usedBytes = 0;
  }

  #find(buffer: unknown): { id: number; entry: Entry } {
    const { device, id, generation } = (buffer ?? {}) as Partial<Record<string, unknown>>;
    if (device !== this.#device) throw this.#unknown(`is of ${shown(device ?? 'no device')}`, id);
    if (generation !== this.#generation) {
      throw new FlotillaError(
        'buffer_stale',
        `buffer ${shown(id)} of ${this.#device} is of generation ${shown(generation)}, ` +
          `but the device is in generation ${this.#generation}`,
        { details: { id: figure(id), generation: this.#generation, given: figure(generation) } },
      );
    }
    const entry = this.#entries.get(id as number);
    if (entry === undefined) throw this.#unknown('was freed or never allocated', id);
    return { id: id as number, entry };
  }

  #unknown(why: string, id: unknown): FlotillaError {
    const message = `${this.#device} has no buffer ${shown(id)}: it ${why}`;
    return new FlotillaError('buffer_unknown', message, {
      details: { device: this.#device, id: figure(id) },
    });
  }
}

function figure(value: unknown): number | string {
  return typeof value === 'number' ? value : shown(value);
}
