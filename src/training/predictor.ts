// What a model is asked: vectors of words, their neighbours, the missing end of a triple. Answers
// from the tables as they are, so also while the training goes on.
import { FlotillaError } from '../core/index.ts';
import { DEFAULT_NEIGHBORS, INVERSE_PREFIX, MODEL_LIMITS, RELATION_ROWS } from './defaults.ts';
import { complexQueries } from './evaluator.ts';
import { ModelRecords } from './model-records.ts';
import type { RecordStore } from '../store/index.ts';
import type { RankedRow, RowHandle, Table, TableService } from '../tables/index.ts';
import type { ModelRecord } from './model-records.ts';

export interface ModelsComponents {
  readonly tables: Pick<TableService, 'open'>;
  readonly store: RecordStore;
}

/** What is known of a model; figures come with its result. */
export type ModelInfo = Omit<ModelRecord, 'version'>;

/** An answer and its score: cosine for neighbours, the model's score for completions. */
export type Scored = RankedRow;

/** A word as the model has it. */
interface Resolved {
  readonly id: string;
  readonly handle: Uint32Array;
}

/** The models of the fleet, asked through any node. */
export class Models {
  readonly #tables: Pick<TableService, 'open'>;
  readonly #records: ModelRecords;

  constructor(components: ModelsComponents) {
    this.#tables = components.tables;
    this.#records = new ModelRecords(components.store);
  }

  /** All models, those in training included, by name. */
  async list(): Promise<ModelInfo[]> {
    return (await this.#records.list()).map(infoOf);
  }

  /** One model. Raises `model_unknown`. */
  async get(name: string): Promise<ModelInfo> {
    return infoOf(await this.#record(name));
  }

  /**
   * Vectors of words, row after row in the order asked: `dim` floats each, half real, half
   * imaginary. Words that the model does not know are listed in `unknown`, and their rows are
   * zeros.
   */
  async embed(
    model: string,
    words: readonly string[],
  ): Promise<{ vectors: Float32Array; unknown: string[] }> {
    const record = await this.#record(model);
    const table = await this.#tables.open(record.entityTable);
    const resolved = await this.#resolve(table, record, words);
    const known = resolved.filter((word) => word !== undefined);
    const rows = await table.pull(joinHandles(known.map(({ handle }) => handle)));
    if (known.length === words.length) return { vectors: rows, unknown: [] };
    const vectors = new Float32Array(words.length * record.dim);
    const unknown: string[] = [];
    let next = 0;
    for (const [i, word] of words.entries()) {
      if (resolved[i] === undefined) unknown.push(word);
      else vectors.set(rows.subarray(next * record.dim, ++next * record.dim), i * record.dim);
    }
    return { vectors, unknown };
  }

  /**
   * The `k` entities whose vectors have the highest cosine with the word's. Raises `row_unknown`.
   */
  async neighbors(model: string, word: string, k = DEFAULT_NEIGHBORS): Promise<Scored[]> {
    const record = await this.#record(model);
    const table = await this.#tables.open(record.entityTable);
    const { handle } = await this.#entity(table, record, word);
    const query = await table.pull(handle);
    return table.nearest(query, { k, metric: 'cosine', exclude: handle });
  }

  /**
   * The `k` best tails of (head, relation, ?), true ones of the training included; `~relation` asks
   * for heads instead. Raises `row_unknown`, `relation_unknown` (its details list the relations).
   */
  async complete(
    model: string,
    head: string,
    relation: string,
    k = DEFAULT_NEIGHBORS,
  ): Promise<Scored[]> {
    const record = await this.#record(model);
    const [entities, relations] = await Promise.all([
      this.#tables.open(record.entityTable),
      this.#tables.open(record.relationTable),
    ]);
    const [entity, row] = await Promise.all([
      this.#entity(entities, record, head),
      relationRow(relations, relation),
    ]);
    if (row === undefined) throw relationUnknown(record, relation);
    const [subject, direction] = await Promise.all([
      entities.pull(entity.handle),
      relations.pull(handleArray(row)),
    ]);
    const query = complexQueries(subject, Uint32Array.of(0), direction);
    return entities.nearest(query, { k, metric: 'dot', exclude: entity.handle });
  }

  async #record(name: string): Promise<ModelRecord> {
    const found = await this.#records.get(name);
    if (found !== undefined) return found.record;
    throw new FlotillaError('model_unknown', `there is no model "${name}"`, {
      details: { model: name },
    });
  }

  async #entity(table: Table, record: ModelRecord, word: string): Promise<Resolved> {
    const [resolved] = await this.#resolve(table, record, [word]);
    if (resolved !== undefined) return resolved;
    throw new FlotillaError('row_unknown', `model "${record.name}" does not know "${word}"`, {
      details: { model: record.name, ids: [word] },
    });
  }

  /** A word is an id as it stands, else what the first alias makes of it that the model has. */
  async #resolve(
    table: Table,
    { aliases }: ModelRecord,
    words: readonly string[],
  ): Promise<(Resolved | undefined)[]> {
    const resolved = words.map((): Resolved | undefined => undefined);
    for (const alias of ['{}', ...aliases]) {
      const open = [...words.keys()].filter((i) => resolved[i] === undefined && words[i] !== '');
      if (open.length === 0) break;
      const ids = open.map((i) => idOf(words[i]!, alias));
      const handles = await table.lookup(ids);
      for (const [at, i] of open.entries()) {
        const handle = handles[at];
        if (handle !== undefined) resolved[i] = { id: ids[at]!, handle: handleArray(handle) };
      }
    }
    return resolved;
  }
}

/** Words take the form of names: `Ice cream` is tried as `ice_cream.n.01`. */
function idOf(word: string, alias: string): string {
  if (alias === '{}') return word;
  return alias.replaceAll('{}', word.trim().toLowerCase().replace(/\s+/g, '_'));
}

function infoOf({ version: _, ...info }: ModelRecord): ModelInfo {
  return info;
}

/**
 * The row of a relation; its inverse when the name has the prefix and is no relation's whole name.
 */
async function relationRow(table: Table, relation: string): Promise<RowHandle | undefined> {
  const ids = [RELATION_ROWS.forward + relation];
  if (relation.startsWith(INVERSE_PREFIX)) {
    ids.push(RELATION_ROWS.inverse + relation.slice(INVERSE_PREFIX.length));
  }
  return (await table.lookup(ids)).find((row) => row !== undefined);
}

function handleArray([shard, row]: RowHandle): Uint32Array {
  return Uint32Array.of(shard, row);
}

function joinHandles(handles: readonly Uint32Array[]): Uint32Array {
  const joined = new Uint32Array(handles.length * 2);
  handles.forEach((handle, i) => {
    joined.set(handle, 2 * i);
  });
  return joined;
}

function relationUnknown(record: ModelRecord, relation: string): FlotillaError {
  const relations = record.relations.slice(0, MODEL_LIMITS.relationsInError);
  const more = record.relationCount - relations.length;
  const list = `${relations.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
  return new FlotillaError(
    'relation_unknown',
    `model "${record.name}" has no relation "${relation}"; it has ${list} ` +
      `(with ${INVERSE_PREFIX} before the name for the other direction)`,
    { details: { model: record.name, relation, relations } },
  );
}
