// The kernels of a device: their arguments, and the check that every launch passes before a backend
// sees it. A backend gets handles and sizes that fit; ids of rows are data, which it checks itself.
import { launchInvalid } from './errors.ts';
import type { DeviceBuffer, DType } from './buffer.ts';

/**
 * Arguments by kernel. Matrices are row-major without gaps. A count that is left out is what the
 * buffers hold. A buffer that is written appears once in a launch.
 */
export interface KernelArguments<B> {
  /** y += alpha · x over n floats. */
  readonly axpy: { readonly n?: number; readonly alpha: number; readonly x: B; readonly y: B };
  /** out[0] = Σ x[i]·y[i] over n floats. */
  readonly dot: { readonly n?: number; readonly x: B; readonly y: B; readonly out: B };
  /** out[i] = table[ids[i]]: rows of `dim` floats, ids int32. */
  readonly gather: {
    readonly rows?: number;
    readonly dim: number;
    readonly table: B;
    readonly ids: B;
    readonly out: B;
  };
  /** table[ids[i]] += source[i]; an id may appear more than once. */
  readonly 'scatter-add': {
    readonly rows?: number;
    readonly dim: number;
    readonly source: B;
    readonly ids: B;
    readonly table: B;
  };
  /** C[m×n] = (accumulate ? C : 0) + op(A)[m×k] · op(B)[k×n]. */
  readonly gemm: {
    readonly m: number;
    readonly n: number;
    readonly k: number;
    readonly a: B;
    readonly b: B;
    readonly c: B;
    /** A is stored k × m. */
    readonly transA?: boolean;
    /** B is stored n × k. */
    readonly transB?: boolean;
    readonly accumulate?: boolean;
  };
  /**
   * Softmax over [positive | n scores] of each row, loss = −log p(positive). Scores and positives
   * become d(loss)/d(score) · scale. A score of −Infinity is masked; one that is not a number makes
   * the row's loss one, too.
   */
  readonly 'softmax-cross-entropy': {
    readonly rows?: number;
    readonly n: number;
    readonly scores: B;
    readonly positives: B;
    readonly losses: B;
    readonly scale: number;
  };
  /**
   * s += g², p −= rate · g / (√s + epsilon). Without `ids` over n floats; with them on those rows
   * of `dim` floats, each at most once, whose gradients lie one after the other.
   */
  readonly adagrad: {
    readonly params: B;
    readonly states: B;
    readonly gradients: B;
    readonly rate: number;
    readonly epsilon: number;
    readonly n?: number;
    readonly ids?: B;
    readonly rows?: number;
    readonly dim?: number;
  };
  /**
   * target[i] = source[i]; one of the two is float32. To integers: towards zero, saturating. To
   * float16: to the nearest, ties to even.
   */
  readonly cast: { readonly n?: number; readonly source: B; readonly target: B };
}

export type KernelName = keyof KernelArguments<unknown>;

/** One launch, as plain data. */
export type Launch<K extends KernelName = KernelName> = {
  [N in K]: { readonly kernel: N } & KernelArguments<DeviceBuffer>[N];
}[K];

/** A buffer as its context knows it. */
export interface Bound {
  readonly handle: number;
  readonly dtype: DType;
  readonly length: number;
}

/** A launch that was checked: every count is there, every buffer is large enough. */
export type BoundLaunch =
  | { kernel: 'axpy'; n: number; alpha: number; x: Bound; y: Bound }
  | { kernel: 'dot'; n: number; x: Bound; y: Bound; out: Bound }
  | { kernel: 'gather'; rows: number; dim: number; table: Bound; ids: Bound; out: Bound }
  | { kernel: 'scatter-add'; rows: number; dim: number; source: Bound; ids: Bound; table: Bound }
  | {
      kernel: 'gemm';
      m: number;
      n: number;
      k: number;
      a: Bound;
      b: Bound;
      c: Bound;
      transA: boolean;
      transB: boolean;
      accumulate: boolean;
    }
  | {
      kernel: 'softmax-cross-entropy';
      rows: number;
      n: number;
      scores: Bound;
      positives: Bound;
      losses: Bound;
      scale: number;
    }
  | {
      kernel: 'adagrad';
      params: Bound;
      states: Bound;
      gradients: Bound;
      rate: number;
      epsilon: number;
      /** Floats of the update: rows × dim where there are ids. */
      n: number;
      rows: number;
      dim: number;
      ids: Bound | undefined;
    }
  | { kernel: 'cast'; n: number; source: Bound; target: Bound };

type BoundOf<K extends KernelName> = Extract<BoundLaunch, { kernel: K }>;
type Lookup = (buffer: unknown) => Bound;

/** Rows of a table that holds `length` floats. */
export function rowsOf(table: Bound, dim: number): number {
  return Math.floor(table.length / dim);
}

/** Checks a launch, from wherever it came. Raises `launch_invalid` and what `lookup` raises. */
export function bindLaunch(launch: Launch, lookup: Lookup): BoundLaunch {
  const kernel: unknown = launch?.kernel;
  const known = typeof kernel === 'string' && Object.hasOwn(BINDERS, kernel);
  const bind = known ? BINDERS[kernel as KernelName] : undefined;
  if (bind === undefined) {
    throw launchInvalid('kernel', `one of ${Object.keys(BINDERS).join(', ')}`, kernel);
  }
  return bind(new Arguments(launch, lookup));
}

/** Reads the arguments of one launch, each with its rule. */
class Arguments {
  readonly #kernel: string;
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #lookup: Lookup;
  readonly #read = new Set<number>();
  readonly #written = new Set<number>();

  constructor(launch: Launch, lookup: Lookup) {
    this.#kernel = launch.kernel;
    this.#values = launch as unknown as Readonly<Record<string, unknown>>;
    this.#lookup = lookup;
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined;
  }

  input(name: string, dtype?: DType): Bound {
    const bound = this.#buffer(name, dtype);
    if (this.#written.has(bound.handle)) throw this.#invalid(name, 'no buffer that is written too');
    this.#read.add(bound.handle);
    return bound;
  }

  output(name: string, dtype?: DType): Bound {
    const bound = this.#buffer(name, dtype);
    if (this.#written.has(bound.handle) || this.#read.has(bound.handle)) {
      throw this.#invalid(name, 'a buffer that appears once, since it is written');
    }
    this.#written.add(bound.handle);
    return bound;
  }

  count(name: string, otherwise?: number, least = 0): number {
    const value = this.#values[name] ?? otherwise;
    if (Number.isSafeInteger(value) && (value as number) >= least) return value as number;
    throw this.#invalid(name, `a whole number from ${least}`, value);
  }

  number(name: string): number {
    const value = this.#values[name];
    if (typeof value === 'number' && Number.isFinite(Math.fround(value))) return value;
    throw this.#invalid(name, 'a finite float32', value);
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  /** Checks that a buffer has at least `elements`. */
  holds(name: string, bound: Bound, elements: number): void {
    if (bound.length < elements) {
      throw this.#invalid(name, `a buffer of at least ${elements} elements`, bound.length);
    }
  }

  castable(source: Bound, target: Bound): void {
    const float = Number(source.dtype === 'float32') + Number(target.dtype === 'float32');
    if (float !== 1) {
      const pair = `${source.dtype} to ${target.dtype}`;
      throw this.#invalid('target', 'float32 when source is not, and else not', pair);
    }
  }

  #buffer(name: string, dtype: DType = 'float32'): Bound {
    const bound = this.#lookup(this.#values[name]);
    if (this.#kernel === 'cast' || bound.dtype === dtype) return bound;
    throw this.#invalid(name, `a buffer of ${dtype}`, bound.dtype);
  }

  #invalid(name: string, rule: string, actual: unknown = 'one'): Error {
    return launchInvalid(`${name} of ${this.#kernel}`, rule, actual);
  }
}

const BINDERS: { readonly [K in KernelName]: (args: Arguments) => BoundOf<K> } = {
  axpy(args) {
    const [x, y] = [args.input('x'), args.output('y')];
    const n = args.count('n', Math.min(x.length, y.length));
    args.holds('x', x, n);
    args.holds('y', y, n);
    return { kernel: 'axpy', n, alpha: args.number('alpha'), x, y };
  },
  dot(args) {
    const [x, y, out] = [args.input('x'), args.input('y'), args.output('out')];
    const n = args.count('n', Math.min(x.length, y.length));
    args.holds('x', x, n);
    args.holds('y', y, n);
    args.holds('out', out, 1);
    return { kernel: 'dot', n, x, y, out };
  },
  gather(args) {
    const [table, ids, out] = [args.input('table'), args.input('ids', 'int32'), args.output('out')];
    const [rows, dim] = [args.count('rows', ids.length), args.count('dim', undefined, 1)];
    args.holds('ids', ids, rows);
    args.holds('out', out, rows * dim);
    return { kernel: 'gather', rows, dim, table, ids, out };
  },
  'scatter-add'(args) {
    const [source, ids] = [args.input('source'), args.input('ids', 'int32')];
    const table = args.output('table');
    const [rows, dim] = [args.count('rows', ids.length), args.count('dim', undefined, 1)];
    args.holds('ids', ids, rows);
    args.holds('source', source, rows * dim);
    return { kernel: 'scatter-add', rows, dim, source, ids, table };
  },
  gemm(args) {
    const [m, n, k] = [args.count('m'), args.count('n'), args.count('k')];
    const [a, b, c] = [args.input('a'), args.input('b'), args.output('c')];
    args.holds('a', a, m * k);
    args.holds('b', b, k * n);
    args.holds('c', c, m * n);
    const flags = { transA: args.flag('transA'), transB: args.flag('transB') };
    return { kernel: 'gemm', m, n, k, a, b, c, ...flags, accumulate: args.flag('accumulate') };
  },
  'softmax-cross-entropy'(args) {
    const [scores, positives] = [args.output('scores'), args.output('positives')];
    const losses = args.output('losses');
    const [rows, n] = [args.count('rows', positives.length), args.count('n')];
    args.holds('scores', scores, rows * n);
    args.holds('positives', positives, rows);
    args.holds('losses', losses, rows);
    const scale = args.number('scale');
    return { kernel: 'softmax-cross-entropy', rows, n, scores, positives, losses, scale };
  },
  adagrad(args) {
    const [params, states] = [args.output('params'), args.output('states')];
    const gradients = args.input('gradients');
    const step = { rate: args.number('rate'), epsilon: args.number('epsilon') };
    const buffers = { params, states, gradients };
    if (args.has('ids')) {
      const ids = args.input('ids', 'int32');
      const [rows, dim] = [args.count('rows', ids.length), args.count('dim', undefined, 1)];
      args.holds('ids', ids, rows);
      args.holds('gradients', gradients, rows * dim);
      return { kernel: 'adagrad', ...buffers, ...step, n: rows * dim, rows, dim, ids };
    }
    const n = args.count('n', Math.min(params.length, states.length, gradients.length));
    for (const [name, bound] of Object.entries(buffers)) args.holds(name, bound, n);
    return { kernel: 'adagrad', ...buffers, ...step, n, rows: 1, dim: n, ids: undefined };
  },
  cast(args) {
    const [source, target] = [args.input('source'), args.output('target')];
    args.castable(source, target);
    const n = args.count('n', Math.min(source.length, target.length));
    args.holds('source', source, n);
    args.holds('target', target, n);
    return { kernel: 'cast', n, source, target };
  },
};
