export { GRAPH_LIMITS, TRAIN_DEFAULTS, TRAIN_LIMITS } from './defaults.ts';
export { TRAINING_ERRORS } from './errors.ts';
export { loadGraphFiles } from './files.ts';
export { decodeGraph, encodeGraph, encodeGraphGzip } from './graph-wire.ts';
export { resolveTrainOptions } from './options.ts';
export { Models } from './predictor.ts';
export { symmetryBaseline } from './symmetry-baseline.ts';
export { Trainer } from './trainer.ts';
export { loadWordNet } from './wordnet.ts';
export type {
  EpochEvent,
  EvaluatingEvent,
  ProgressEvent,
  RankMetrics,
  ResultEvent,
  StartEvent,
  TrainEvent,
  TrainResult,
  ValidationEvent,
  WorkerLostEvent,
} from './events.ts';
export type { BrokenLine, LoadedGraph } from './files.ts';
export type { DecodeOptions } from './graph-wire.ts';
export type { Graph, SplitName, Triples } from './graph.ts';
export type { TrainOptions, TrainOptionsInput } from './options.ts';
export type { ModelInfo, ModelsComponents, Scored } from './predictor.ts';
export type { TrainControl, TrainerComponents } from './trainer.ts';
