// The kernels of a device in plain JavaScript, in double precision and without any cleverness: what
// every backend is compared with.
import { rowsOf } from '../../src/devices/launch.ts';
import { indexOutOfRange, indexRepeated } from '../../src/devices/errors.ts';
import type { HostArrays } from '../../src/devices/index.ts';
import type { Bound, BoundLaunch } from '../../src/devices/launch.ts';

type Elements = HostArrays[keyof HostArrays];
type View = (bound: Bound) => Elements;
type LaunchOf<K extends BoundLaunch['kernel']> = Extract<BoundLaunch, { kernel: K }>;

export function runReference(launch: BoundLaunch, view: View): void {
  (KERNELS[launch.kernel] as (launch: BoundLaunch, view: View) => void)(launch, view);
}

const KERNELS: { [K in BoundLaunch['kernel']]: (launch: LaunchOf<K>, view: View) => void } = {
  axpy({ n, alpha, x, y }, view) {
    const [from, to] = [view(x), view(y)];
    for (let i = 0; i < n; i++) to[i] = to[i]! + Math.fround(alpha) * from[i]!;
  },
  dot({ n, x, y, out }, view) {
    const [left, right] = [view(x), view(y)];
    let sum = 0;
    for (let i = 0; i < n; i++) sum += left[i]! * right[i]!;
    view(out)[0] = sum;
  },
  gather({ rows, dim, table, ids, out }, view) {
    const places = checkIds(view(ids), rows, rowsOf(table, dim));
    const [from, to] = [view(table), view(out)];
    places.forEach((row, i) => {
      for (let j = 0; j < dim; j++) to[i * dim + j] = from[row * dim + j]!;
    });
  },
  'scatter-add'({ rows, dim, source, ids, table }, view) {
    const places = checkIds(view(ids), rows, rowsOf(table, dim));
    const [from, to] = [view(source), view(table)];
    const sums = Float64Array.from(to);
    places.forEach((row, i) => {
      for (let j = 0; j < dim; j++) sums[row * dim + j]! += from[i * dim + j]!;
    });
    to.set(sums);
  },
  gemm({ m, n, k, a, b, c, transA, transB, accumulate }, view) {
    const [left, right, to] = [view(a), view(b), view(c)];
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = accumulate ? to[i * n + j]! : 0;
        for (let p = 0; p < k; p++) {
          sum += left[transA ? p * m + i : i * k + p]! * right[transB ? j * k + p : p * n + j]!;
        }
        to[i * n + j] = sum;
      }
    }
  },
  'softmax-cross-entropy'({ rows, n, scores, positives, losses, scale }, view) {
    const [all, own, loss] = [view(scores), view(positives), view(losses)];
    for (let row = 0; row < rows; row++) {
      const positive = own[row]!;
      const row0 = row * n;
      const values = Array.from({ length: n }, (_, i) => all[row0 + i]!);
      const most = Math.max(positive, ...values);
      if (most === -Infinity) {
        for (let i = 0; i < n; i++) all[row0 + i] = 0;
        own[row] = 0;
        loss[row] = 0;
        continue;
      }
      const others = values.reduce((sum, value) => sum + Math.exp(value - most), 0);
      const total = others + Math.exp(positive - most);
      values.forEach((value, i) => {
        all[row0 + i] = (Math.exp(value - most) / total) * scale;
      });
      own[row] = -(others / total) * scale;
      loss[row] = Math.log(total) - (positive - most);
    }
  },
  adagrad({ params, states, gradients, rate, epsilon, rows, dim, ids }, view) {
    const [p, s, g] = [view(params), view(states), view(gradients)];
    const limit = Math.min(rowsOf(params, dim), rowsOf(states, dim));
    const places = ids === undefined ? [0] : checkIds(view(ids), rows, limit);
    places.forEach((id, at) => {
      if (places.indexOf(id) < at) throw indexRepeated(at, id);
    });
    places.forEach((row, i) => {
      for (let j = 0; j < dim; j++) {
        const [to, from] = [row * dim + j, i * dim + j];
        const sum = s[to]! + g[from]! ** 2;
        s[to] = sum;
        p[to] = p[to]! - (rate * g[from]!) / (Math.sqrt(sum) + epsilon);
      }
    });
  },
  cast({ n, source, target }, view) {
    const [from, to] = [view(source), view(target)];
    const [least, most] = RANGES[target.dtype] ?? [-Infinity, Infinity];
    for (let i = 0; i < n; i++) {
      const value = from[i]!;
      const whole = least === -Infinity ? value : Math.trunc(value) || 0;
      to[i] = Math.min(most, Math.max(least, whole));
    }
  },
};

const RANGES: Readonly<Record<string, readonly [number, number]>> = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint8: [0, 255],
};

function checkIds(ids: Elements, rows: number, limit: number): number[] {
  const places = Array.from(ids.subarray(0, rows));
  const at = places.findIndex((id) => id < 0 || id >= limit);
  if (at >= 0) throw indexOutOfRange(at, places[at]!, limit);
  return places;
}
