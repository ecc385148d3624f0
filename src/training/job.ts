// A node's share of a training: its copy of the triples, a few batches in flight, and the thread
// that computes them. Each batch is planned, its rows pulled, its gradients computed and pushed.
import { BoundedQueue, FlotillaError } from '../core/index.ts';
import { BatchPlanner, createSlot } from './batch-planner.ts';
import { allocateSlot, freeLayout } from './complex.ts';
import { requestInvalid } from './messages.ts';
import { StepThread } from './step-thread.ts';
import type { Kernels } from '../devices/index.ts';
import type { Table, TableService } from '../tables/index.ts';
import type { HandleRows, Slot } from './batch-planner.ts';
import type { StepShape } from './complex.ts';
import type { ChunkRequest, ChunkResult, JobSpec, Section } from './messages.ts';

export interface JobComponents {
  readonly tables: Pick<TableService, 'open'>;
  readonly kernels: Kernels;
}

/** What runs once the data is complete. */
interface Running {
  readonly planner: BatchPlanner;
  readonly thread: StepThread;
  readonly slots: readonly Slot[];
  readonly entities: Table;
  readonly relations: Table;
}

export class TrainingJob {
  readonly spec: JobSpec;
  readonly #components: JobComponents;
  readonly #data: Record<Section, Uint32Array>;
  readonly #free: BoundedQueue<Slot>;
  readonly #inFlight = new Set<Promise<unknown>>();
  #running: Running | undefined;
  #closed: FlotillaError | undefined;

  constructor(components: JobComponents, spec: JobSpec) {
    const { train, entities, relations } = spec.words;
    if (train % 3 !== 0 || entities % 2 !== 0 || relations % 4 !== 0) {
      throw requestInvalid('the data is no whole triples and handles');
    }
    this.#components = components;
    this.spec = spec;
    this.#data = {
      train: new Uint32Array(train),
      entities: new Uint32Array(entities),
      relations: new Uint32Array(relations),
    };
    this.#free = new BoundedQueue(spec.slots);
  }

  /** Copies words into a section of the data. */
  load(section: Section, offset: number, bytes: Uint8Array): void {
    const words = this.#data[section];
    if (bytes.length % 4 !== 0 || offset * 4 + bytes.length > words.byteLength) {
      throw requestInvalid(`${bytes.length} bytes at word ${offset} do not fit ${section}`);
    }
    new Uint8Array(words.buffer).set(bytes, offset * 4);
  }

  /** Opens the tables and starts the thread. */
  async start(): Promise<void> {
    const { tables, kernels } = this.#components;
    const { spec } = this;
    checkIndices(this.#data);
    const shape = shapeOf(spec);
    const [entities, relations] = await Promise.all([
      tables.open(spec.entityTable),
      tables.open(spec.relationTable),
    ]);
    const planner = new BatchPlanner(
      {
        train: this.#data.train,
        entities: handleRows(entities, this.#data.entities),
        relations: handleRows(relations, this.#data.relations),
      },
      shape,
      spec.seed,
    );
    const thread = await StepThread.start(kernels, shape, spec.regularisation);
    const slots: Slot[] = [];
    this.#running = { planner, thread, slots, entities, relations };
    if (this.#closed !== undefined) {
      await this.#release();
      throw this.#closed;
    }
    for (let i = 0; i < spec.slots; i++) {
      slots.push(createSlot(kernels, allocateSlot(kernels, shape), shape));
    }
    for (const slot of slots) this.#free.offer(slot);
  }

  /**
   * Trains a chunk of batches. Batches of chunks that overlap share the slots, in order of arrival.
   */
  async run(chunk: ChunkRequest): Promise<ChunkResult> {
    const running = this.#running;
    if (running === undefined) throw requestInvalid('the job has not been started');
    const batches: Promise<ChunkResult>[] = [];
    for (let i = 0; i < chunk.count; i++) {
      const batch = this.#batch(running, chunk, chunk.first + i);
      this.#inFlight.add(batch);
      const settled = () => this.#inFlight.delete(batch);
      batch.then(settled, settled);
      batches.push(batch);
    }
    const results = await Promise.all(batches);
    const triples = results.reduce((sum, result) => sum + result.triples, 0);
    const loss = results.reduce((sum, result) => sum + result.loss * result.triples, 0);
    return { loss: loss / triples, triples };
  }

  /** Refuses further batches, waits for those in flight, ends the thread and frees its memory. */
  async close(): Promise<void> {
    this.#closed ??= new FlotillaError('cancelled', `training job ${this.spec.job} was closed`);
    this.#free.close(this.#closed);
    await Promise.allSettled(this.#inFlight);
    await this.#release();
  }

  async #release(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined) return;
    await running.thread.stop();
    for (const slot of running.slots) freeLayout(this.#components.kernels, slot.layout);
  }

  async #batch(running: Running, chunk: ChunkRequest, index: number): Promise<ChunkResult> {
    const slot = await this.#free.take();
    try {
      if (this.#closed !== undefined) throw this.#closed;
      return await this.#step(running, slot, { ...chunk, first: index });
    } finally {
      this.#free.offer(slot);
    }
  }

  async #step(running: Running, slot: Slot, at: ChunkRequest): Promise<ChunkResult> {
    const { planner, thread, entities, relations } = running;
    const { dim } = this.spec;
    const { layout } = slot;
    const counts = planner.plan(slot, at.epoch, at.first);
    const view = (pointer: number, rows: number) =>
      this.#components.kernels.floats(pointer, rows * dim);
    const entityRows = slot.entityHandles.subarray(0, 2 * counts.entities);
    const relationRows = slot.relationHandles.subarray(0, 2 * counts.relations);
    await Promise.all([
      entities.pull(entityRows, view(layout.entityRows, counts.entities)),
      relations.pull(relationRows, view(layout.relationRows, counts.relations)),
    ]);
    const loss = await thread.run(layout, counts);
    const { rate } = at;
    if (Number.isFinite(loss)) {
      await Promise.all([
        entities.push(entityRows, view(layout.entityGradients, counts.entities), { rate }),
        relations.push(relationRows, view(layout.relationGradients, counts.relations), { rate }),
      ]);
    }
    return { loss, triples: counts.batch };
  }
}

function handleRows(table: Table, handles: Uint32Array): HandleRows {
  return { handles, owners: table.ownersOf(handles) };
}

function shapeOf(spec: JobSpec): StepShape {
  const { dim, batch, negatives, words } = spec;
  return { dim, batch, negatives, relationRows: Math.min(2 * batch, words.relations / 2) };
}

function checkIndices({ train, entities, relations }: Record<Section, Uint32Array>): void {
  const entityCount = entities.length / 2;
  const relationCount = relations.length / 4;
  for (let i = 0; i < train.length; i += 3) {
    if (
      train[i]! >= entityCount ||
      train[i + 1]! >= relationCount ||
      train[i + 2]! >= entityCount
    ) {
      throw requestInvalid(`triple ${i / 3} names an entity or relation that there is not`);
    }
  }
}
