// What a user can choose about a training, validated once.
import { z } from 'zod';
import { invalidOption } from '../core/index.ts';
import { TRAIN_DEFAULTS, TRAIN_LIMITS } from './defaults.ts';

const count = (max: number) => z.int().min(1).max(max);

const schema = z.strictObject({
  /** @default "complex" */
  model: z.literal('complex').default('complex'),
  /** Floats a row; even. More learn finer distinctions and cost in proportion. @default 200 */
  dim: count(TRAIN_LIMITS.maxDim).multipleOf(2).default(TRAIN_DEFAULTS.dim),
  /** Triples a step. @default 250 */
  batch: count(TRAIN_LIMITS.maxBatch).default(TRAIN_DEFAULTS.batch),
  /** Negatives that a batch shares. @default 250 */
  negatives: count(TRAIN_LIMITS.maxNegatives).default(TRAIN_DEFAULTS.negatives),
  /** Passes over the training triples. @default 20 */
  epochs: count(TRAIN_LIMITS.maxEpochs).default(TRAIN_DEFAULTS.epochs),
  /** Step size of Adagrad. @default 0.1 */
  rate: z.number().gt(0).max(10).default(TRAIN_DEFAULTS.rate),
  /** How the rate falls over the training: not, or to 0 in a straight line. @default "none" */
  decay: z.enum(['none', 'linear']).default('none'),
  /** Weight of the N3 regulariser. @default 0.1 */
  regularisation: z.number().min(0).max(10).default(TRAIN_DEFAULTS.regularisation),
  /** Replays the order of triples, the negatives and the first rows. @default 1 */
  seed: z.int().min(0).max(0xffffffff).default(TRAIN_DEFAULTS.seed),
  /** Epochs between validations; 0 for none, and so no early stop. @default 5 */
  validateEvery: z.int().min(0).default(TRAIN_DEFAULTS.validateEvery),
  /** Validations without a better MRR before training stops. @default 3 */
  patience: count(TRAIN_LIMITS.maxEpochs).default(TRAIN_DEFAULTS.patience),
  /** Validation triples to judge by. @default 1000 */
  validationSample: z.int().min(1).default(TRAIN_DEFAULTS.validationSample),
  /** Batches in flight on a node: more hide latency, and let rows be staler. @default 3 */
  slots: count(TRAIN_LIMITS.maxSlots).default(TRAIN_DEFAULTS.slots),
});

/** What a caller may give; every field has a default. */
export type TrainOptionsInput = z.input<typeof schema>;
export type TrainOptions = z.output<typeof schema>;

/** Fills in defaults and checks. Raises `invalid_option` with option, rule and actual value. */
export function resolveTrainOptions(input: unknown = {}): TrainOptions {
  const { success, data, error } = schema.safeParse(input);
  if (success) return data;
  const [issue] = error.issues;
  if (issue?.code === 'unrecognized_keys') {
    const known = Object.keys(schema.shape).join(', ');
    throw invalidOption(issue.keys[0] ?? 'option', `one of ${known}`, 'unknown');
  }
  const option = issue?.path.join('.') ?? '';
  const given = option === '' ? input : (input as Record<string, unknown>)[option];
  throw invalidOption(option === '' ? 'options' : option, ruleOf(issue), given);
}

function ruleOf(issue: z.core.$ZodIssue | undefined): string {
  switch (issue?.code) {
    case 'too_small':
      return issue.inclusive === false ? `above ${issue.minimum}` : `at least ${issue.minimum}`;
    case 'too_big':
      return `at most ${issue.maximum}`;
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`;
    case 'invalid_value':
      return `one of ${issue.values.map(String).join(', ')}`;
    case 'invalid_type':
      return issue.expected === 'int' ? 'a whole number' : `of type ${issue.expected}`;
    default:
      return issue?.message ?? 'valid';
  }
}
