// Loads the compiled WASM kernels and types what they export. The sources are in `kernels/`;
// `scripts/build-kernels.mjs` builds them.
import { readFile } from 'node:fs/promises';
import { FlotillaError } from '../core/index.ts';

/**
 * Exports of build/kernels.wasm. Pointers are byte offsets; see `Kernels` for what each one does.
 */
export interface KernelExports {
  sgemm(
    transA: number,
    transB: number,
    accumulate: number,
    m: number,
    n: number,
    k: number,
    a: number,
    lda: number,
    b: number,
    ldb: number,
    c: number,
    ldc: number,
    scratch: number,
  ): void;
  sgemmScratchBytes(): number;
  dot(n: number, x: number, y: number): number;
  axpy(n: number, alpha: number, x: number, y: number): void;
  scal(n: number, alpha: number, x: number): void;
  gather(rows: number, dim: number, sources: number, target: number): void;
  scatterAdd(rows: number, dim: number, source: number, targets: number): void;
  dotChunks(n: number, chunk: number, x: number, y: number, partials: number): void;
  gatherIds(rows: number, dim: number, table: number, ids: number, target: number): void;
  scatterAddIds(
    rows: number,
    dim: number,
    ld: number,
    source: number,
    ids: number,
    table: number,
  ): void;
  firstOutside(rows: number, ids: number, limit: number): number;
  firstRepeated(rows: number, ids: number, seen: number): number;
  adagradIds(
    rows: number,
    dim: number,
    params: number,
    states: number,
    ids: number,
    gradients: number,
    rate: number,
    epsilon: number,
  ): void;
  adagradDense(
    n: number,
    params: number,
    states: number,
    gradients: number,
    rate: number,
    epsilon: number,
  ): void;
  softmaxCrossEntropyRows(
    rows: number,
    n: number,
    scores: number,
    positives: number,
    losses: number,
    scale: number,
  ): void;
  float16ToFloat32: ConvertKernel;
  float32ToFloat16: ConvertKernel;
  int32ToFloat32: ConvertKernel;
  float32ToInt32: ConvertKernel;
  uint8ToFloat32: ConvertKernel;
  float32ToUint8: ConvertKernel;
  zero(bytes: number, target: number): void;
  adagrad: AdagradKernel;
  adagradRowWise: AdagradKernel;
  complexMultiply(rows: number, dim: number, a: number, b: number, out: number): void;
  complexMultiplyConj(rows: number, dim: number, a: number, b: number, out: number): void;
  softmaxCrossEntropy(
    rows: number,
    n: number,
    scores: number,
    ldScores: number,
    positives: number,
    scale: number,
  ): number;
  n3(rows: number, dim: number, x: number, gradients: number, scale: number): number;
  countGreater(
    rows: number,
    n: number,
    scores: number,
    ldScores: number,
    targets: number,
    greater: number,
    equal: number,
  ): void;
}

type ConvertKernel = (n: number, source: number, target: number) => void;

type AdagradKernel = (
  rows: number,
  dim: number,
  params: number,
  states: number,
  gradients: number,
  rate: number,
  epsilon: number,
) => void;

const location = new URL('../../build/kernels.wasm', import.meta.url);
let compiled: Promise<WebAssembly.Module> | undefined;

/** The module, compiled once a thread. Raises `kernels_missing`. */
export function kernelModule(): Promise<WebAssembly.Module> {
  compiled ??= compileKernels(location).catch((error: unknown) => {
    compiled = undefined;
    throw error;
  });
  return compiled;
}

/** Compiles the module in `file`. Raises `kernels_missing`. */
export async function compileKernels(file: URL): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(await readFile(file));
  } catch (cause) {
    throw new FlotillaError(
      'kernels_missing',
      'the WASM kernels in build/kernels.wasm cannot be loaded; `npm run kernels` builds them',
      { cause },
    );
  }
}

/** An instance on `memory`. */
export async function instantiateKernels(memory: WebAssembly.Memory): Promise<KernelExports> {
  const instance = await WebAssembly.instantiate(await kernelModule(), { env: { memory } });
  return instance.exports as unknown as KernelExports;
}
