// Contestant: the WASM kernels, on one thread, or on the pool's threads where the mode names a
// number.
import { KernelPool, Kernels } from '../../src/devices/index.ts';
import { readMode } from '../harness.ts';
import {
  fill,
  gigaflops,
  measure,
  PRODUCTS,
  productOf,
  reportKernels,
  workload,
} from './workload.ts';
import type { Product } from './workload.ts';

const kernels = await Kernels.create();
const threads = Number(readMode() || 1);

function allocate(length: number): number {
  const pointer = kernels.alloc(length * 4);
  fill(kernels.floats(pointer, length));
  return pointer;
}

async function productRate(product: Product, pool?: KernelPool): Promise<number> {
  const { transA, transB, m, n, k } = product;
  const [a, b, c] = [allocate(m * k), allocate(n * k), allocate(m * n)];
  const [lda, ldb] = [transA ? m : k, transB ? k : n];
  const ms = await measure(() =>
    (pool ?? kernels).sgemm({ transA, transB }, m, n, k, a, lda, b, ldb, c, n),
  );
  for (const pointer of [a, b, c]) kernels.free(pointer);
  return gigaflops(product, ms);
}

const figures: Record<string, number> = {};
if (threads > 1) {
  const pool = await KernelPool.start(kernels, { threads });
  figures['square'] = await productRate(productOf('square'), pool);
  await pool.stop();
} else {
  for (const name of PRODUCTS) figures[name] = await productRate(productOf(name));
  const length = workload.vectorFloats;
  const [x, y] = [allocate(length), allocate(length)];
  // Two vectors are read; axpy writes one as well.
  const gigabytes = (length * 4) / 1e6;
  figures['dot'] = (2 * gigabytes) / (await measure(() => void kernels.dot(length, x, y)));
  figures['axpy'] = (3 * gigabytes) / (await measure(() => kernels.axpy(length, 1e-3, x, y)));
}
reportKernels(figures);
