// One training from the first epoch to the last figure: epochs on the workers, a look at the
// validation set now and then, the test set at the end, and what to tell meanwhile.
import { createPrng, FlotillaError, hasCode, messageOf, shuffle } from '../core/index.ts';
import { PROGRESS_INTERVAL_MS } from './defaults.ts';
import { Evaluator } from './evaluator.ts';
import { tripleCount } from './graph.ts';
import { EarlyStop, rateAt } from './schedule.ts';
import { symmetryBaseline } from './symmetry-baseline.ts';
import { WorkerGroup } from './worker-group.ts';
import type { Clock } from '../core/index.ts';
import type { ModelRows } from './evaluator.ts';
import type { RankMetrics, ResultEvent, TrainEvent } from './events.ts';
import type { Graph, Triples } from './graph.ts';
import type { ChunkResult, JobSpec } from './messages.ts';
import type { ModelRecord } from './model-records.ts';
import type { TrainOptions } from './options.ts';
import type { WorkerGroupComponents } from './worker-group.ts';

export interface TrainingPlan {
  readonly graph: Graph;
  readonly options: TrainOptions;
  readonly rows: ModelRows;
  readonly record: ModelRecord;
  /** Nodes that train. */
  readonly workers: readonly string[];
}

export type RunFigures = Omit<ResultEvent, 'type' | 'model' | 'seconds'>;

export class TrainingRun {
  readonly #clock: Clock;
  readonly #plan: TrainingPlan;
  readonly #signal: AbortSignal;
  readonly #onEvent: (event: TrainEvent) => void;
  readonly #group: WorkerGroup;
  readonly #evaluator: Evaluator;
  readonly #batches: number;
  /** In epochs that are done. */
  #trainMs = 0;
  #triples = 0;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(
    components: WorkerGroupComponents & { readonly clock: Clock },
    plan: TrainingPlan,
    control: { readonly signal: AbortSignal; readonly onEvent: (event: TrainEvent) => void },
  ) {
    this.#clock = components.clock;
    this.#plan = plan;
    this.#signal = control.signal;
    this.#onEvent = control.onEvent;
    const { graph, options, rows, workers } = plan;
    const batch = Math.min(options.batch, tripleCount(graph.train));
    this.#batches = Math.ceil(tripleCount(graph.train) / batch);
    this.#evaluator = new Evaluator(graph, rows);
    this.#group = new WorkerGroup(components, {
      spec: jobSpec(plan, batch),
      workers,
      signal: control.signal,
      onLost: (node, error) => {
        const code = hasCode(error) ? error.code : 'internal';
        this.#onEvent({ type: 'worker-lost', node, code, message: messageOf(error) });
      },
    });
  }

  /** Trains, evaluates, and closes the job on every worker whatever happens. */
  async train(): Promise<RunFigures> {
    const { graph, rows } = this.#plan;
    try {
      await this.#group.open({
        train: graph.train,
        entities: rows.entityHandles,
        relations: rows.relationHandles,
      });
      this.#tellStart();
      const { epochs, stoppedEarly } = await this.#epochs();
      const metrics = await this.#evaluate('test', graph.test);
      const trainSeconds = this.#trainMs / 1000;
      return {
        metrics,
        baseline: symmetryBaseline(graph),
        trainSeconds,
        triplesPerSecond: this.#triples / trainSeconds,
        epochs,
        stoppedEarly,
      };
    } finally {
      await this.#group.close();
    }
  }

  #tellStart(): void {
    const { graph } = this.#plan;
    this.#onEvent({
      type: 'start',
      model: graph.name,
      entities: graph.entities.length,
      relations: graph.relations.length,
      train: tripleCount(graph.train) - graph.mirrored,
      mirrored: graph.mirrored,
      valid: tripleCount(graph.valid),
      test: tripleCount(graph.test),
      workers: this.#group.workers,
    });
  }

  /** Epochs until the last, or until validation says that more would not help. */
  async #epochs(): Promise<{ epochs: number; stoppedEarly: boolean }> {
    const { graph, options } = this.#plan;
    const { epochs, validateEvery, seed } = options;
    const early = new EarlyStop(options.patience);
    const sample = sampleOf(graph.valid, options.validationSample, seed);
    for (let epoch = 1; epoch <= epochs; epoch++) {
      await this.#epoch(epoch);
      const due = validateEvery > 0 && epoch % validateEvery === 0 && epoch < epochs;
      if (!due || sample.length === 0) continue;
      const metrics = await this.#evaluate('valid', sample);
      this.#onEvent({ type: 'validation', epoch, metrics });
      if (early.shouldStop(metrics.mrr)) return { epochs: epoch, stoppedEarly: true };
    }
    return { epochs, stoppedEarly: false };
  }

  async #epoch(epoch: number): Promise<void> {
    const { options } = this.#plan;
    const { epochs } = options;
    const first = (epoch - 1) * this.#batches;
    const startedMs = this.#clock.now();
    const { loss, triples } = await this.#group.runEpoch({
      epoch: epoch - 1,
      batches: this.#batches,
      rateOf: (batch) => rateAt(options, first + batch, epochs * this.#batches),
      onChunk: (completed, soFar) => {
        this.#checkLoss(soFar.loss, epoch);
        this.#tellProgress(epoch, first + completed, { ...soFar, startedMs });
      },
    });
    const elapsedMs = this.#clock.now() - startedMs;
    this.#trainMs += elapsedMs;
    this.#triples += triples;
    const seconds = elapsedMs / 1000;
    const triplesPerSecond = triples / seconds;
    this.#onEvent({ type: 'epoch', epoch, epochs, loss, seconds, triplesPerSecond });
  }

  #checkLoss(loss: number, epoch: number): void {
    if (Number.isFinite(loss)) return;
    const { rate } = this.#plan.options;
    throw new FlotillaError(
      'training_diverged',
      `the loss became ${loss} in epoch ${epoch} at rate ${rate}; a lower rate usually helps`,
      { details: { epoch, rate } },
    );
  }

  #tellProgress(
    epoch: number,
    steps: number,
    soFar: ChunkResult & { readonly startedMs: number },
  ): void {
    const now = this.#clock.now();
    if (now - this.#toldMs < PROGRESS_INTERVAL_MS) return;
    this.#toldMs = now;
    const { epochs } = this.#plan.options;
    const elapsedSeconds = (this.#trainMs + now - soFar.startedMs) / 1000;
    const fraction = steps / (epochs * this.#batches);
    this.#onEvent({
      type: 'progress',
      epoch,
      epochs,
      fraction,
      loss: soFar.loss,
      triplesPerSecond: (this.#triples + soFar.triples) / elapsedSeconds,
      etaSeconds: (elapsedSeconds * (1 - fraction)) / fraction,
    });
  }

  #evaluate(split: 'valid' | 'test', triples: Triples): Promise<RankMetrics> {
    const onFraction = (fraction: number) => {
      const now = this.#clock.now();
      if (now - this.#toldMs < PROGRESS_INTERVAL_MS && fraction < 1) return;
      this.#toldMs = now;
      this.#onEvent({ type: 'evaluating', split, fraction });
    };
    return this.#evaluator.evaluate(triples, { signal: this.#signal, onFraction });
  }
}

function jobSpec({ graph, options, rows, record }: TrainingPlan, batch: number): JobSpec {
  const { dim, negatives, slots, regularisation, seed } = options;
  return {
    job: record.job,
    entityTable: record.entityTable,
    relationTable: record.relationTable,
    dim,
    batch,
    negatives,
    slots,
    regularisation,
    seed,
    words: {
      train: graph.train.length,
      entities: rows.entityHandles.length,
      relations: rows.relationHandles.length,
    },
  };
}

/** At most `size` triples, drawn once. */
function sampleOf(triples: Triples, size: number, seed: number): Triples {
  const count = tripleCount(triples);
  if (count <= size) return triples;
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  shuffle(order, createPrng(seed));
  const sample = new Uint32Array(3 * size);
  for (let i = 0; i < size; i++) {
    const at = 3 * order[i]!;
    sample.set(triples.subarray(at, at + 3), 3 * i);
  }
  return sample;
}
