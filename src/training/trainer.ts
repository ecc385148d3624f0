// Trains a model on all healthy nodes: makes its tables, gives the workers their data, runs epochs,
// validates, evaluates, and records what it made. Any node can be the trainer, and every node
// works.
import { FlotillaError, hasCode, messageOf } from '../core/index.ts';
import { ACTIVE_TIMEOUT_MS, RELATION_ROWS, TRAIN_DEFAULTS } from './defaults.ts';
import { checkTrainable } from './graph.ts';
import { BODIES, parseBody, PROCEDURES } from './messages.ts';
import { ModelRecords, recordedRelations } from './model-records.ts';
import { resolveTrainOptions } from './options.ts';
import { cancelled } from './worker-group.ts';
import { TrainingRun } from './training-run.ts';
import { TrainingWorker } from './worker.ts';
import type { Clock, Logger } from '../core/index.ts';
import type { Kernels } from '../devices/index.ts';
import type { HealthyMembers } from '../cluster/index.ts';
import type { RecordStore } from '../store/index.ts';
import type { TableService } from '../tables/index.ts';
import type { ModelRows } from './evaluator.ts';
import type { TrainEvent, TrainResult } from './events.ts';
import type { Graph } from './graph.ts';
import type { ModelRecord } from './model-records.ts';
import type { TrainOptions, TrainOptionsInput } from './options.ts';
import type { JobHost } from './worker.ts';

export interface TrainerComponents {
  readonly host: JobHost;
  readonly coordinator: HealthyMembers;
  readonly tables: Pick<TableService, 'create' | 'open' | 'drop'>;
  readonly store: RecordStore;
  readonly kernels: Kernels;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface TrainControl {
  /** Ends the training and frees all it made. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: TrainEvent) => void;
}

/** Trains models, and works for the trainers of other nodes. */
export class Trainer {
  readonly #components: TrainerComponents;
  readonly #records: ModelRecords;
  readonly #worker: TrainingWorker;
  readonly #active = new Map<string, { abort: AbortController; done: Promise<unknown> }>();

  constructor(components: TrainerComponents) {
    this.#components = components;
    this.#records = new ModelRecords(components.store);
    this.#worker = new TrainingWorker(components);
  }

  /** Registers this node's part in trainings. */
  async start(): Promise<void> {
    this.#worker.start();
    this.#components.host.handle(PROCEDURES.active, ({ body }) => {
      const { job } = parseBody(BODIES.job, body);
      return { body: { active: this.#active.has(job) } };
    });
  }

  /** Cancels the trainings of this node and leaves those of others. */
  async stop(): Promise<void> {
    const stopping = new FlotillaError('cancelled', 'the node that trains is stopping');
    for (const { abort } of this.#active.values()) abort.abort(stopping);
    await Promise.allSettled([...this.#active.values()].map(({ done }) => done));
    await this.#worker.stop();
  }

  /**
   * Trains a model that takes the graph's name; one of that name that there was is replaced.
   * Resolves to the last event. When it fails or is cancelled, its tables and record are gone.
   * Raises `invalid_option`, `graph_empty`, `graph_too_small`, `training_busy`,
   * `training_diverged`, `no_workers`, `cancelled`, `table_exists`, and what tables raise:
   * `owner_unreachable` above all.
   */
  async train(
    graph: Graph,
    options: TrainOptionsInput = {},
    control: TrainControl = {},
  ): Promise<TrainResult> {
    const resolved = resolveTrainOptions(options);
    checkTrainable(graph);
    if (control.signal?.aborted) throw cancelled(control.signal);
    const { host, store } = this.#components;
    const job = `${host.name}/${await store.epoch('training')}`;
    const abort = new AbortController();
    const signals = control.signal === undefined ? [] : [control.signal];
    const signal = AbortSignal.any([abort.signal, ...signals]);
    const onEvent = control.onEvent ?? (() => undefined);
    const training = this.#train(graph, resolved, { job, signal, onEvent });
    this.#active.set(job, { abort, done: training });
    try {
      return await training;
    } catch (error) {
      // What a cancelled training stumbles over is not the reason why it ended.
      throw signal.aborted ? cancelled(signal) : error;
    } finally {
      this.#active.delete(job);
    }
  }

  async #train(
    graph: Graph,
    options: TrainOptions,
    control: { job: string; signal: AbortSignal; onEvent: (event: TrainEvent) => void },
  ): Promise<TrainResult> {
    const { job, signal, onEvent } = control;
    const { clock, coordinator } = this.#components;
    const startedMs = clock.now();
    const record = await this.#claim(graph, options, job);
    const created: string[] = [];
    try {
      const rows = await this.#createRows(graph, options, { record, created, signal });
      const workers = coordinator.registry.healthyNodes().map(({ id }) => id);
      const run = new TrainingRun(
        this.#components,
        { graph, options, rows, record, workers },
        { signal, onEvent },
      );
      const figures = await run.train();
      await Promise.all([rows.entities.checkpoint(), rows.relations.checkpoint()]);
      if (signal.aborted) throw cancelled(signal);
      const { metrics, baseline } = figures;
      await this.#finish({ ...record, status: 'ready', metrics, baseline });
      const seconds = (clock.now() - startedMs) / 1000;
      const result: TrainResult = { type: 'result', model: graph.name, ...figures, seconds };
      control.onEvent(result);
      return result;
    } catch (error) {
      await this.#discard(record, created);
      throw error;
    }
  }

  /** Takes the model's name, unless a training that is alive has it. */
  async #claim(graph: Graph, options: TrainOptions, job: string): Promise<ModelRecord> {
    const { host, clock } = this.#components;
    const { name } = graph;
    const found = await this.#records.get(name);
    const record: ModelRecord = {
      version: 1,
      name,
      kind: options.model,
      status: 'training',
      dim: options.dim,
      entityTable: name,
      relationTable: `${name}/relations`,
      entities: graph.entities.length,
      relationCount: graph.relations.length,
      relations: recordedRelations(graph.relations),
      aliases: [...graph.aliases],
      trainer: host.name,
      job,
      createdMs: clock.wallTime(),
    };
    const busy =
      (found?.record.status === 'training' && (await this.#isActive(found.record))) ||
      !(await this.#records.replace(record, found?.revision ?? 0));
    if (busy) {
      throw new FlotillaError('training_busy', `a training of "${name}" is already running`, {
        details: { model: name },
      });
    }
    if (found !== undefined) {
      await this.#dropTables([found.record.entityTable, found.record.relationTable]);
    }
    return record;
  }

  async #isActive({ trainer, job }: ModelRecord): Promise<boolean> {
    const { host } = this.#components;
    const options = { timeoutMs: ACTIVE_TIMEOUT_MS };
    try {
      const reply = await host.call(trainer, PROCEDURES.active, { body: { job } }, options);
      return parseBody(BODIES.active, reply.body).active;
    } catch {
      return false;
    }
  }

  async #createRows(
    graph: Graph,
    { dim, seed }: TrainOptions,
    { record, created, signal }: { record: ModelRecord; created: string[]; signal: AbortSignal },
  ): Promise<ModelRows> {
    const { tables } = this.#components;
    const spec = { dim, init: { deviation: TRAIN_DEFAULTS.initDeviation, seed } };
    const create = async (name: string) => {
      const table = await tables.create(name, spec);
      created.push(name);
      return table;
    };
    const entities = await create(record.entityTable);
    const relations = await create(record.relationTable);
    const directions = [
      ...graph.relations.map((relation) => RELATION_ROWS.forward + relation),
      ...graph.relations.map((relation) => RELATION_ROWS.inverse + relation),
    ];
    const [entityHandles, relationHandles] = await Promise.all([
      entities.insert(graph.entities, { signal }),
      relations.insert(directions, { signal }),
    ]);
    return { entities, relations, entityHandles, relationHandles, dim };
  }

  async #finish(record: ModelRecord): Promise<void> {
    const found = await this.#records.get(record.name);
    const done = { ...record, trainedMs: this.#components.clock.wallTime() };
    const ours = found?.record.job === record.job;
    if (ours && (await this.#records.replace(done, found.revision))) return;
    throw new FlotillaError('training_busy', `another training took over "${record.name}"`, {
      details: { model: record.name },
    });
  }

  /** Removes what a training without a result leaves, unless another has taken its place. */
  async #discard(record: ModelRecord, created: readonly string[]): Promise<void> {
    try {
      const found = await this.#records.get(record.name);
      if (found?.record.job !== record.job) return;
      await this.#dropTables(created);
      await this.#records.remove(record.name, record.job);
    } catch (error) {
      const reason = messageOf(error);
      this.#components.log.warn({ model: record.name, reason }, 'a failed training left its rows');
    }
  }

  async #dropTables(names: readonly string[]): Promise<void> {
    for (const table of names) {
      try {
        await this.#components.tables.drop(table);
      } catch (error) {
        if (!hasCode(error, 'table_unknown')) throw error;
      }
    }
  }
}
