// Defaults and limits of graphs, training and models. The recipe is the one that the reference runs
// of TARGETS.md (Training) share.

export const GRAPH_LIMITS = {
  /** Pairs of entities are held as one exact number, so their square has to stay below 2^53. */
  maxEntities: 2 ** 26,
  maxRelations: 65_536,
  maxTriples: 100_000_000,
  /** Longest line of a graph file or stream, bytes. */
  maxLineBytes: 65_536,
  /** Broken lines that an error or report names. */
  maxReportedLines: 20,
  /** Share of broken lines beyond which a graph is refused. */
  maxBrokenShare: 0.01,
} as const;

export const SPLIT = {
  /** Pairs whose hash is below this share are for the final evaluation … */
  testBelow: 0.03,
  /** … and those below this one choose the model. */
  validBelow: 0.06,
} as const;

export const WORDNET = {
  /** Pointers that become relations. Their inverses, `\` and `<` are left out. */
  pointers: [
    { symbol: '@', name: 'hypernym', symmetric: false },
    { symbol: '@i', name: 'instance_hypernym', symmetric: false },
    { symbol: '+', name: 'derivation', symmetric: true },
    { symbol: '%m', name: 'member_meronym', symmetric: false },
    { symbol: '%p', name: 'part_meronym', symmetric: false },
    { symbol: ';c', name: 'domain_topic', symmetric: false },
    { symbol: '-r', name: 'member_of_domain_region', symmetric: false },
    { symbol: '-u', name: 'member_of_domain_usage', symmetric: false },
    { symbol: '^', name: 'also_see', symmetric: true },
    { symbol: '$', name: 'verb_group', symmetric: true },
    { symbol: '&', name: 'similar_to', symmetric: true },
  ],
  /** What a plain word is tried as. */
  aliases: ['{}.n.01', '{}.v.01', '{}.a.01', '{}.s.01', '{}.r.01'],
} as const;

export const TRAIN_DEFAULTS = {
  /** Floats a row, half of them real, half imaginary. */
  dim: 200,
  /** Triples a step; each is trained in both directions. */
  batch: 250,
  /** Negatives that a batch shares. */
  negatives: 250,
  epochs: 20,
  rate: 0.1,
  regularisation: 0.1,
  seed: 1,
  /** Epochs between validations. */
  validateEvery: 5,
  /** Validations without a better figure before training stops. */
  patience: 3,
  /** Validation triples that are drawn, once, to judge by. */
  validationSample: 1_000,
  /** Batches in flight on a node: bounds how stale a pulled row can be. */
  slots: 3,
  /** Deviation of a new row. */
  initDeviation: 1e-3,
} as const;

export const TRAIN_LIMITS = {
  maxDim: 4_096,
  maxBatch: 65_536,
  maxNegatives: 65_536,
  maxEpochs: 100_000,
  maxSlots: 16,
} as const;

export const SCHEDULE = {
  /** Batches that a node gets at once at most; fewer towards the end of an epoch. */
  maxChunkBatches: 12,
  /** Chunks that a node has at once, so that it never waits for the next. */
  chunksPerWorker: 2,
} as const;

/** A chunk that takes longer counts as a lost worker. */
export const CHUNK_TIMEOUT_MS = 120_000;

/** Another node is asked whether it still trains a model. */
export const ACTIVE_TIMEOUT_MS = 5_000;

/** Closing a job waits for its batches in flight. */
export const CLOSE_TIMEOUT_MS = 60_000;

/** Bytes of triples or handles in one message to a worker. */
export const LOAD_PIECE_BYTES = 4 * 2 ** 20;

/** Time between two progress events. */
export const PROGRESS_INTERVAL_MS = 250;

/** Triples of which both directions are ranked in one request. */
export const RANK_BATCH_TRIPLES = 128;

/** Requests of the evaluation in flight. */
export const RANK_REQUESTS = 2;

/** Model records in the store begin with this. */
export const MODEL_PREFIX = 'models/';

/** Before a relation's name: asks from tail to head. */
export const INVERSE_PREFIX = '~';

/** Ids of relation rows: from head to tail, and back. */
export const RELATION_ROWS = { forward: '>', inverse: '<' } as const;

export const MODEL_LIMITS = {
  /** Names of relations that a model's record keeps, for people to read. */
  recordedRelations: 1_000,
  /** Relations that an error lists. */
  relationsInError: 50,
} as const;

/** Neighbours and completions that are given when no number is asked for. */
export const DEFAULT_NEIGHBORS = 10;
