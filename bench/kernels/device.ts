// Contestant: a CPU device with as many threads as the mode says. Every launch goes through the
// device's queue, its checks and its threads.
import { systemClock } from '../../src/core/index.ts';
import { CpuBackend, Device } from '../../src/devices/index.ts';
import { readMode } from '../harness.ts';
import {
  batchIds,
  fill,
  gatherGigabytes,
  gigaflops,
  measure,
  productOf,
  reportKernels,
  workload,
} from './workload.ts';

const backend = new CpuBackend({ threads: Number(readMode() || 1) });
const device = new Device({ backend, clock: systemClock }, { address: 'bench/cpu-0' });
await device.start();

async function filled(length: number) {
  const buffer = await device.allocate('float32', length);
  await device.copyIn(buffer, fill(new Float32Array(length)));
  return buffer;
}

const product = productOf('square');
const { m, n, k } = product;
const [a, b, c] = [await filled(m * k), await filled(k * n), await filled(m * n)];
const productMs = await measure(() => device.launch({ kernel: 'gemm', m, n, k, a, b, c }));

const [tableRows, rows, dim] = workload.gather;
const table = await filled(tableRows * dim);
const out = await filled(rows * dim);
const ids = await device.allocate('int32', rows);
await device.copyIn(ids, batchIds());
const gatherMs = await measure(() => device.launch({ kernel: 'gather', dim, table, ids, out }));

// What a launch costs beside its arithmetic: one float, done on the caller's thread.
const launchMs = await measure(() => device.launch({ kernel: 'axpy', n: 1, alpha: 1, x: a, y: b }));
await device.stop();
reportKernels({
  square: gigaflops(product, productMs),
  gather: gatherGigabytes(gatherMs),
  launchMicroseconds: launchMs * 1000,
});
