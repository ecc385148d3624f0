// AssemblyScript. Rows of one table named by 32-bit ids: what `rows.ts` does through pointers, and the
// checks that come before, since an id is somebody's data. `dim` and `ld` are in floats.
import { addRow, adagradRow, copyRow } from './rows';

@inline
function idAt(ids: usize, i: usize): usize {
  return load<u32>(ids + (i << 2)) as usize;
}

/** The position of the first id that is not below `limit`, or −1. A negative id is a large one. */
export function firstOutside(rows: usize, ids: usize, limit: u32): i32 {
  for (let i: usize = 0; i < rows; i++) {
    if (load<u32>(ids + (i << 2)) >= limit) return i as i32;
  }
  return -1;
}

/** The position of the first id that came before, or −1. `seen` has a zeroed bit for each row. */
export function firstRepeated(rows: usize, ids: usize, seen: usize): i32 {
  for (let i: usize = 0; i < rows; i++) {
    const id = idAt(ids, i);
    const at = seen + (id >> 3);
    const bit: u8 = 1 << ((id & 7) as u8);
    const byte = load<u8>(at);
    if (byte & bit) return i as i32;
    store<u8>(at, byte | bit);
  }
  return -1;
}

/** target[i] = table[ids[i]] */
export function gatherIds(rows: usize, dim: usize, table: usize, ids: usize, target: usize): void {
  const bytes = dim << 2;
  for (let i: usize = 0; i < rows; i++) {
    copyRow(dim, table + idAt(ids, i) * bytes, target);
    target += bytes;
  }
}

/** table[ids[i]] += source[i], in order, over `dim` columns of rows that are `ld` floats wide. */
export function scatterAddIds(
  rows: usize,
  dim: usize,
  ld: usize,
  source: usize,
  ids: usize,
  table: usize,
): void {
  const bytes = ld << 2;
  for (let i: usize = 0; i < rows; i++) {
    addRow(dim, source, table + idAt(ids, i) * bytes);
    source += bytes;
  }
}

/** Adagrad on the rows `ids` of params and states; gradients lie one after the other. */
export function adagradIds(
  rows: usize,
  dim: usize,
  params: usize,
  states: usize,
  ids: usize,
  gradients: usize,
  rate: f32,
  epsilon: f32,
): void {
  const bytes = dim << 2;
  for (let i: usize = 0; i < rows; i++) {
    const at = idAt(ids, i) * bytes;
    adagradRow(dim, params + at, states + at, gradients, rate, epsilon);
    gradients += bytes;
  }
}

/** Adagrad over n floats that lie side by side. */
export function adagradDense(
  n: usize,
  params: usize,
  states: usize,
  gradients: usize,
  rate: f32,
  epsilon: f32,
): void {
  adagradRow(n, params, states, gradients, rate, epsilon);
}
