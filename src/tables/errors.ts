import { FlotillaError } from '../core/index.ts';
import type { ErrorCodes } from '../core/index.ts';

export const TABLE_ERRORS = {
  table_unknown: 'No table has this name.',
  table_exists: 'A table of this name exists already.',
  table_stale: 'The table was dropped or created anew since it was opened; open it again.',
  table_invalid: 'The record of a table in the store is damaged or from another version.',
  row_unknown: 'The table has no row of this id.',
  row_out_of_range: 'A row handle names a shard or a row that the table does not have.',
  row_id_invalid: 'An id of a row is empty or too long.',
  gradient_width: 'The number of floats does not match the number of rows times the width.',
  gradient_not_finite: 'A gradient is NaN or infinite; nothing was changed.',
  dimension_invalid: 'The width of a table is zero, too large, or wrong for what was asked of it.',
  owner_unreachable: 'The node that owns a shard cannot be reached.',
  shard_not_owned: 'A node was asked for a shard that another node owns.',
  shard_not_loaded: 'The owner of a shard has restarted and has no checkpoint of it.',
  checkpoint_corrupt: 'A checkpoint file is damaged; the message names it.',
  checkpoint_failed: 'A checkpoint file could not be written or read; the message names it.',
  assignment_invalid: 'A shard assignment in JSON breaks a rule; the message names it.',
  request_invalid: 'A request to a table has a malformed body or length.',
} as const satisfies ErrorCodes;

export type TableErrorCode = keyof typeof TABLE_ERRORS;

export function rowOutOfRange(table: string, shard: number, row: number): FlotillaError {
  return new FlotillaError(
    'row_out_of_range',
    `table ${table} has no row ${row} in a shard ${shard}`,
    { details: { table, shard, row } },
  );
}

export function requestInvalid(what: string): FlotillaError {
  return new FlotillaError('request_invalid', `malformed table request: ${what}`);
}

export function tableUnknown(table: string): FlotillaError {
  return new FlotillaError('table_unknown', `there is no table ${table}`, { details: { table } });
}

export function tableStale(table: string): FlotillaError {
  return new FlotillaError(
    'table_stale',
    `table ${table} was dropped or created anew since it was opened`,
    { details: { table } },
  );
}

export function gradientWidth(
  table: string,
  { rows, dim, floats }: { rows: number; dim: number; floats: number },
): FlotillaError {
  return new FlotillaError(
    'gradient_width',
    `${floats} floats of gradients are not ${rows} rows of ${dim}`,
    { details: { table, rows, dim, floats } },
  );
}

export function gradientNotFinite(table: string): FlotillaError {
  return new FlotillaError(
    'gradient_not_finite',
    `a gradient for table ${table} is NaN or infinite; nothing was changed`,
    { details: { table } },
  );
}
