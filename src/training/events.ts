// What a training tells while it runs, as plain values that cross a connection as JSON.

/** Link-prediction figures; realistic ties unless named otherwise. */
export interface RankMetrics {
  /** Mean reciprocal rank. */
  readonly mrr: number;
  /** Share of answers at rank 1, 3 and 10 or better. */
  readonly hits1: number;
  readonly hits3: number;
  readonly hits10: number;
  /** MRR if ties were won, and if they were lost. */
  readonly mrrOptimistic: number;
  readonly mrrPessimistic: number;
  /** Answers that were ranked: two a triple. With none, the other figures are 0. */
  readonly count: number;
}

export interface StartEvent {
  readonly type: 'start';
  readonly model: string;
  readonly entities: number;
  readonly relations: number;
  /** Training triples, without the mirrored ones. */
  readonly train: number;
  readonly mirrored: number;
  readonly valid: number;
  readonly test: number;
  /** Names of the nodes that train. */
  readonly workers: readonly string[];
}

export interface ProgressEvent {
  readonly type: 'progress';
  /** The epoch under way, from 1. */
  readonly epoch: number;
  readonly epochs: number;
  /** Of the whole training, 0 to 1. */
  readonly fraction: number;
  /** Mean over the epoch so far. */
  readonly loss: number;
  readonly triplesPerSecond: number;
  readonly etaSeconds: number;
}

export interface EpochEvent {
  readonly type: 'epoch';
  readonly epoch: number;
  readonly epochs: number;
  readonly loss: number;
  readonly seconds: number;
  readonly triplesPerSecond: number;
}

export interface ValidationEvent {
  readonly type: 'validation';
  readonly epoch: number;
  readonly metrics: RankMetrics;
}

export interface EvaluatingEvent {
  readonly type: 'evaluating';
  readonly split: 'valid' | 'test';
  readonly fraction: number;
}

export interface WorkerLostEvent {
  readonly type: 'worker-lost';
  readonly node: string;
  readonly code: string;
  readonly message: string;
}

export interface ResultEvent {
  readonly type: 'result';
  readonly model: string;
  /** Filtered ranks over the test set. */
  readonly metrics: RankMetrics;
  /** What the symmetry rule alone scores on the same set. */
  readonly baseline: RankMetrics;
  /** From the call to this event. */
  readonly seconds: number;
  /** In epochs alone, without validation. */
  readonly trainSeconds: number;
  readonly triplesPerSecond: number;
  /** Epochs that were run. */
  readonly epochs: number;
  /** True when validation ended the training before its last epoch. */
  readonly stoppedEarly: boolean;
}

export type TrainEvent =
  | StartEvent
  | ProgressEvent
  | EpochEvent
  | ValidationEvent
  | EvaluatingEvent
  | WorkerLostEvent
  | ResultEvent;
export type TrainResult = ResultEvent;
