// Defaults of the command line.

export const CLI_DEFAULTS = {
  url: 'http://127.0.0.1:8080',
  dataDir: './.flotilla',
  configFile: 'flotilla.config.ts',
  host: '127.0.0.1',
  nodes: 3,
  maxNodes: 64,
  httpPort: 8080,
  peerPort: 7400,
  /** The model that `up` trains when no graph is named. */
  model: 'wordnet',
  tokenTtlMs: 60 * 60 * 1000,
  /** The highest limit of an API key. */
  maxKeyLimit: 1_000_000_000,
  /** Where a simulated engine listens: where vLLM does. */
  engine: '127.0.0.1:8000',
  /** The highest figure of one. */
  maxEngineFigure: 1_000_000_000,
  /** How many answers `neighbors` and `complete` show. */
  k: 10,
} as const;

export const CLIENT = {
  /** How long a question to a node may take. */
  timeoutMs: 30_000,
  /** Longest line of a training's events. */
  maxEventCharacters: 1024 * 1024,
} as const;

export const SUPERVISOR = {
  /** How long a node may take until it is ready. */
  readyTimeoutMs: 30_000,
  /** How long a node may take to stop before it is killed. */
  stopTimeoutMs: 5_000,
  /** Join tokens that the supervisor makes for its own nodes live this long. */
  tokenTtlMs: 120_000,
  /** Characters of a node's standard error that are kept for when it dies. */
  keptErrorCharacters: 4_096,
} as const;

export const PROGRESS = {
  /** Redraws of the bar are at least this far apart. */
  redrawMs: 100,
  /** Widest bar, columns. */
  maxBarColumns: 28,
  /** Columns of a terminal that does not say. */
  columns: 80,
  /** Rows of one. */
  rows: 24,
} as const;

export const TOP = {
  /** Nodes sample themselves as often; more often would show the same. */
  refreshMs: 1_000,
  barColumns: 8,
  /** Longer names are cut. */
  maxNameColumns: 24,
  /** A record this old, or an answer, is marked: two samples are missing. */
  oldAfterMs: 3_000,
} as const;

/** What `up` shows of a model: enough to see that it learnt something. */
export const SHOWCASE = {
  words: 3,
  triples: 3,
  neighbors: 5,
  completions: 3,
  /** Answers that are shown also where the line is too narrow for them. */
  minAnswers: 3,
  /** Broken lines of a graph file that are printed. */
  brokenLines: 5,
} as const;

/** Examples for WordNet, whose words people know. */
export const WORDNET_EXAMPLES = {
  words: ['dog', 'king', 'run'],
  triples: [
    ['dog', 'hypernym'],
    ['violin', 'hypernym'],
    ['king', 'derivation'],
  ],
} as const;
