// What the trainer says to the nodes that train for it: procedures and the shapes of their bodies.
import { z } from 'zod';
import { FlotillaError } from '../core/index.ts';
import { GRAPH_LIMITS, SCHEDULE, TRAIN_LIMITS } from './defaults.ts';

export const PROCEDURES = {
  /** Job → nothing. Makes room for a job's data. */
  open: 'training.open',
  /** Section and offset, with raw words → nothing. Fills a part of the job's data. */
  load: 'training.load',
  /** Nothing → nothing. All data is there: opens the tables, starts the thread. */
  start: 'training.start',
  /** A chunk of batches → loss and triples. */
  run: 'training.run',
  /** Nothing → nothing. Ends the job and frees all it holds. */
  close: 'training.close',
  /** Nothing → whether this node is running the job as its trainer. */
  active: 'training.active',
} as const;

const whole = z.int().min(0);
const job = { job: z.string().min(1) };

const jobSpec = z.object({
  ...job,
  entityTable: z.string(),
  relationTable: z.string(),
  dim: z.int().min(2).max(TRAIN_LIMITS.maxDim),
  batch: z.int().min(1).max(TRAIN_LIMITS.maxBatch),
  negatives: z.int().min(1).max(TRAIN_LIMITS.maxNegatives),
  slots: z.int().min(1).max(TRAIN_LIMITS.maxSlots),
  regularisation: z.number().min(0),
  seed: whole,
  /** Words of each section of the data. */
  words: z.object({
    train: whole.max(3 * GRAPH_LIMITS.maxTriples),
    entities: whole.max(2 * GRAPH_LIMITS.maxEntities),
    relations: whole.max(4 * GRAPH_LIMITS.maxRelations),
  }),
});
const chunk = z.object({
  ...job,
  epoch: whole,
  first: whole,
  count: z.int().min(1).max(SCHEDULE.maxChunkBatches),
  rate: z.number().min(0),
});
const chunkResult = z.object({
  /** Mean loss of a direction, weighted by triples. May be NaN. */
  loss: z.union([z.number(), z.nan()]),
  triples: whole,
});

export const BODIES = {
  job: z.object(job),
  open: jobSpec,
  load: z.object({
    ...job,
    section: z.enum(['train', 'entities', 'relations']),
    /** Where the words begin in their section. */
    offset: whole,
  }),
  run: chunk,
  ran: chunkResult,
  active: z.object({ active: z.boolean() }),
} as const;

export type JobSpec = z.output<typeof jobSpec>;
export type Section = z.output<typeof BODIES.load>['section'];
export type ChunkRequest = z.output<typeof chunk>;
export type ChunkResult = z.output<typeof chunkResult>;

/** Checks a body that came from another node. Raises `training_request_invalid`. */
export function parseBody<T>(schema: z.ZodType<T>, body: unknown): T {
  const { success, data, error } = schema.safeParse(body);
  if (success) return data;
  const [issue] = error.issues;
  throw requestInvalid(`${issue?.path.join('.') || 'body'}: ${issue?.message ?? 'wrong shape'}`);
}

export function requestInvalid(reason: string): FlotillaError {
  return new FlotillaError('training_request_invalid', `a training request is invalid: ${reason}`);
}
