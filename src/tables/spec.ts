// What a table is: its spec as the user gives it, and the record of it that the store keeps. Both
// are validated here, whoever wrote them.
import { z } from 'zod';

import { FlotillaError, invalidOption } from '../core/index.ts';
import { TABLE_DEFAULTS, TABLE_LIMITS } from './defaults.ts';

/**
 * `adagrad` keeps a sum of squares per element, `adagrad-row` one per row (the mean over the row),
 * which takes almost no memory but wants a larger deviation and rate.
 */
export type Optimiser = 'adagrad' | 'adagrad-row';

/** How new rows start: N(0, deviation²), drawn from `seed` and the row's id alone. */
export interface RowInit {
  /** @default 0.001 */
  readonly deviation: number;
  readonly seed: number;
}

export interface TableSpec {
  /** Floats in a row. */
  readonly dim: number;
  /** Fixed for the life of the table. @default 256 */
  readonly shards?: number;
  /** @default "adagrad" */
  readonly optimiser?: Optimiser;
  /** @default { deviation: 0.001, seed: 1 } */
  readonly init?: RowInit;
}

/** A table as the store records it. */
export interface TableRecord {
  readonly name: string;
  /** Grows with every table that is created, so that a name that is used again is told apart. */
  readonly generation: number;
  readonly spec: Required<TableSpec>;
  /** The owner of each shard. */
  readonly placement: readonly string[];
}

const UINT32_MAX = 2 ** 32 - 1;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]*$/;

const specSchema = z.object({
  dim: z.int().min(1).max(TABLE_LIMITS.maxDim),
  shards: z.int().min(1).max(TABLE_LIMITS.maxShards),
  optimiser: z.enum(['adagrad', 'adagrad-row']),
  init: z.object({ deviation: z.number().min(0), seed: z.int().min(0).max(UINT32_MAX) }),
});

const storedSchema = z.object({
  version: z.literal(1),
  name: z.string(),
  generation: z.number().min(0),
  spec: specSchema,
  nodes: z.array(z.string().min(1)).min(1),
  owners: z.array(z.int().min(0)),
});

/** Fills in defaults and checks. Raises `dimension_invalid` or `invalid_option`. */
export function resolveSpec(spec: TableSpec): Required<TableSpec> {
  const { dim } = spec;
  if (!Number.isInteger(dim) || dim < 1 || dim > TABLE_LIMITS.maxDim) {
    throw new FlotillaError(
      'dimension_invalid',
      `dim must be an integer from 1 to ${TABLE_LIMITS.maxDim}, but is ${dim}`,
      { details: { dim, maxDim: TABLE_LIMITS.maxDim } },
    );
  }
  const resolved = {
    dim,
    shards: spec.shards ?? TABLE_DEFAULTS.shards,
    optimiser: spec.optimiser ?? TABLE_DEFAULTS.optimiser,
    init: spec.init ?? { deviation: TABLE_DEFAULTS.initDeviation, seed: TABLE_DEFAULTS.initSeed },
  };
  const parsed = specSchema.safeParse(resolved);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const option = issue?.path.join('.') ?? 'spec';
  const [first, second] = issue?.path ?? [];
  const outer: unknown = Reflect.get(resolved, first ?? 'spec');
  const actual = second === undefined ? outer : Reflect.get(resolved.init, second);
  throw invalidOption(option, `valid (${issue?.message ?? 'wrong shape'})`, actual);
}

/** Checks a table's name: letters, digits, `.`, `_`, `-`, `/`, the first a letter or digit. */
export function checkTableName(name: string): void {
  if (name.length <= TABLE_LIMITS.maxNameCharacters && NAME.test(name)) return;
  const rule = `1 to ${TABLE_LIMITS.maxNameCharacters} of the characters A-Z a-z 0-9 . _ - /`;
  throw invalidOption('table name', rule, JSON.stringify(name));
}

export function encodeRecord(record: TableRecord): Uint8Array {
  const nodes = [...new Set(record.placement)].sort();
  const owners = record.placement.map((node) => nodes.indexOf(node));
  const { name, generation, spec } = record;
  return new TextEncoder().encode(
    JSON.stringify({ version: 1, name, generation, spec, nodes, owners }),
  );
}

/** Reads what `encodeRecord` wrote. Raises `table_invalid`. */
export function decodeRecord(key: string, value: Uint8Array): TableRecord {
  try {
    const stored = storedSchema.parse(JSON.parse(new TextDecoder().decode(value)));
    const { name, generation, spec, nodes, owners } = stored;
    if (owners.length !== spec.shards) throw new Error(`${owners.length} owners`);
    const placement = owners.map((owner) => {
      const node = nodes[owner];
      if (node === undefined) throw new Error(`owner ${owner} is not listed`);
      return node;
    });
    return { name, generation, spec, placement };
  } catch (cause) {
    throw new FlotillaError('table_invalid', `the record ${key} in the store is damaged`, {
      details: { key },
      cause,
    });
  }
}
