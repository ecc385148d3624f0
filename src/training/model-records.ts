// The records of models in the store: what a model is, where its rows are, and whether its training
// has finished. A record of a training that ended without a result is taken over by the next one.
import { z } from 'zod';
import { FlotillaError } from '../core/index.ts';
import { MODEL_LIMITS, MODEL_PREFIX } from './defaults.ts';
import type { RecordStore } from '../store/index.ts';

const metrics = z.object({
  mrr: z.number(),
  hits1: z.number(),
  hits3: z.number(),
  hits10: z.number(),
  mrrOptimistic: z.number(),
  mrrPessimistic: z.number(),
  count: z.number(),
});

const schema = z.object({
  version: z.literal(1),
  name: z.string(),
  kind: z.literal('complex'),
  status: z.enum(['training', 'ready']),
  dim: z.int(),
  entityTable: z.string(),
  relationTable: z.string(),
  /** How many entities and relations there are. */
  entities: z.int(),
  relationCount: z.int(),
  /** Names of the relations, the first 1000 of them. */
  relations: z.array(z.string()),
  /** Patterns that turn a word into an entity name, tried in order. */
  aliases: z.array(z.string()),
  /** The node that trains or trained it, and its job. */
  trainer: z.string(),
  job: z.string(),
  metrics: metrics.optional(),
  baseline: metrics.optional(),
  /** Wall time, milliseconds since 1970: when the training began, and when it was done. */
  createdMs: z.number(),
  trainedMs: z.number().optional(),
});

/** A model as the store records it. */
export type ModelRecord = z.output<typeof schema>;

/** The names that a record keeps of a model's relations. */
export function recordedRelations(relations: readonly string[]): string[] {
  return relations.slice(0, MODEL_LIMITS.recordedRelations);
}

/** Records of models by name. */
export class ModelRecords {
  readonly #store: RecordStore;

  constructor(store: RecordStore) {
    this.#store = store;
  }

  async get(name: string): Promise<{ record: ModelRecord; revision: number } | undefined> {
    const entry = await this.#store.get(MODEL_PREFIX + name);
    if (entry === undefined) return undefined;
    return { record: decode(entry.key, entry.value), revision: entry.revision };
  }

  /** All models, by name. */
  async list(): Promise<ModelRecord[]> {
    const entries = await this.#store.list(MODEL_PREFIX);
    return entries.map(({ key, value }) => decode(key, value));
  }

  /**
   * Writes a record over the one of `revision` (0: there is none). False when another was faster.
   */
  async replace(record: ModelRecord, revision: number): Promise<boolean> {
    const key = MODEL_PREFIX + record.name;
    const value = new TextEncoder().encode(JSON.stringify(record));
    const { ok } = await this.#store.compareAndSwap([{ key, revision }], [{ put: key, value }]);
    return ok;
  }

  /** Deletes the record while it is still that of `job`. */
  async remove(name: string, job: string): Promise<void> {
    const found = await this.get(name);
    if (found === undefined || found.record.job !== job) return;
    const key = MODEL_PREFIX + name;
    await this.#store.compareAndSwap([{ key, revision: found.revision }], [{ delete: key }]);
  }
}

function decode(key: string, value: Uint8Array): ModelRecord {
  try {
    return schema.parse(JSON.parse(new TextDecoder().decode(value)));
  } catch (cause) {
    throw new FlotillaError('model_invalid', `the record ${key} in the store is damaged`, {
      details: { key },
      cause,
    });
  }
}
