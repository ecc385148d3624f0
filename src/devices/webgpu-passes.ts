// A checked launch as passes of shaders: parameters, buffers and workgroups. It knows no GPU; what
// the passes run on, and reading the status back, is the runtime's business.
import { rowsOf } from './launch.ts';
import { DOT_GROUPS, GEMM_TILE, GROUP_SIZE } from './wgsl.ts';
import type { BoundLaunch } from './launch.ts';
import type { ShaderName } from './wgsl.ts';

/** A buffer of the launch by its handle, or one of the runtime's own. */
export type PassBuffer = number | 'partials' | 'status' | 'seen';

export interface Pass {
  readonly shader: ShaderName;
  /** Unsigned words; a float is marked by being wrapped. */
  readonly params: readonly (number | { readonly float: number })[];
  readonly buffers: readonly PassBuffer[];
  /** Workgroups that have something to do; the runtime may start fewer. */
  readonly groups: number;
}

export interface Passes {
  readonly passes: readonly Pass[];
  /** Where rows are named by ids: the ids, the rows of the table, and whether each comes once. */
  readonly check?: { readonly ids: number; readonly limit: number; readonly distinct: boolean };
}

const groupsFor = (elements: number) => Math.ceil(elements / GROUP_SIZE);

/** Empty where there is nothing to do. */
export function passesOf(launch: BoundLaunch): Passes {
  switch (launch.kernel) {
    case 'axpy': {
      const { n, alpha, x, y } = launch;
      return elementwise('axpy', [n, { float: alpha }], [x.handle, y.handle]);
    }
    case 'dot':
      return dot(launch);
    case 'gather': {
      const { rows, dim, table, ids, out } = launch;
      const buffers = [table.handle, ids.handle, out.handle, 'status'] as const;
      const limit = rowsOf(table, dim);
      return checked(rows, { ids: ids.handle, limit, distinct: false }, [
        { shader: 'gather', params: [rows * dim, dim], buffers, groups: groupsFor(rows * dim) },
      ]);
    }
    case 'scatter-add': {
      const { rows, dim, source, ids, table } = launch;
      const buffers = [source.handle, ids.handle, table.handle, 'status'] as const;
      const limit = rowsOf(table, dim);
      return checked(rows, { ids: ids.handle, limit, distinct: false }, [
        { shader: 'scatterAdd', params: [rows * dim, dim], buffers, groups: groupsFor(rows * dim) },
      ]);
    }
    case 'gemm': {
      const { m, n, k, a, b, c, transA, transB, accumulate } = launch;
      if (m * n === 0) return { passes: [] };
      const params = [m, n, k, Number(transA), Number(transB), Number(accumulate)];
      const groups = Math.ceil(m / GEMM_TILE) * Math.ceil(n / GEMM_TILE);
      const buffers = [a.handle, b.handle, c.handle];
      return { passes: [{ shader: 'gemm', params, buffers, groups }] };
    }
    case 'softmax-cross-entropy': {
      const { rows, n, scores, positives, losses, scale } = launch;
      if (rows === 0) return { passes: [] };
      const buffers = [scores.handle, positives.handle, losses.handle];
      const params = [rows, n, { float: scale }];
      return { passes: [{ shader: 'softmax', params, buffers, groups: rows }] };
    }
    case 'adagrad':
      return adagrad(launch);
    case 'cast': {
      const { n, source, target } = launch;
      const shader = `${source.dtype} ${target.dtype}` as ShaderName;
      return elementwise(shader, [n], [source.handle, target.handle]);
    }
  }
}

function elementwise(
  shader: ShaderName,
  params: Pass['params'],
  buffers: readonly PassBuffer[],
): Passes {
  const n = params[0] as number;
  return { passes: n === 0 ? [] : [{ shader, params, buffers, groups: groupsFor(n) }] };
}

/** Puts the check of the ids before the passes that use them. */
function checked(
  rows: number,
  check: NonNullable<Passes['check']>,
  passes: readonly Pass[],
): Passes {
  if (rows === 0) return { passes: [] };
  const { ids, limit, distinct } = check;
  const first: Pass = {
    shader: distinct ? 'checkDistinctIds' : 'checkIds',
    params: [rows, limit],
    buffers: distinct ? [ids, 'status', 'seen'] : [ids, 'status'],
    groups: groupsFor(rows),
  };
  return { passes: [first, ...passes], check };
}

function dot({ n, x, y, out }: Extract<BoundLaunch, { kernel: 'dot' }>): Passes {
  // At least one group, so that the sum of nothing is 0.
  const groups = Math.min(DOT_GROUPS, Math.max(1, groupsFor(n)));
  const buffers = [x.handle, y.handle, 'partials'] as const;
  return {
    passes: [
      { shader: 'dot', params: [n], buffers, groups },
      { shader: 'total', params: [groups], buffers: ['partials', out.handle], groups: 1 },
    ],
  };
}

function adagrad(launch: Extract<BoundLaunch, { kernel: 'adagrad' }>): Passes {
  const { params, states, gradients, rate, epsilon, n, rows, dim, ids } = launch;
  const buffers = [params.handle, states.handle, gradients.handle];
  const numbers = [n, dim, { float: rate }, { float: epsilon }];
  if (ids === undefined) return elementwise('adagradDense', numbers, buffers);
  const limit = Math.min(rowsOf(params, dim), rowsOf(states, dim));
  return checked(rows, { ids: ids.handle, limit, distinct: true }, [
    {
      shader: 'adagradIds',
      params: numbers,
      buffers: [...buffers, ids.handle, 'status'],
      groups: groupsFor(n),
    },
  ]);
}
