// The WASM SIMD kernels on a shared memory: the arithmetic of tables and training. It owns one
// thread's instance and scratch, and on the creator's thread the allocator. Matrices are float32,
// row-major; every pointer is a byte offset into the memory; leading dimensions count floats.
import { assert, FlotillaError, invalidOption, messageOf } from '../core/index.ts';
import { Arena } from './arena.ts';
import {
  DEFAULT_INITIAL_BYTES,
  FIRST_BLOCK_BYTES,
  MAX_MEMORY_BYTES,
  PAGE_BYTES,
} from './defaults.ts';
import { instantiateKernels } from './module.ts';
import type { KernelExports } from './module.ts';
import type { Task } from './pool-protocol.ts';

export interface KernelsOptions {
  /** Memory to start with. @default 16 MiB */
  readonly initialBytes?: number;
  /** What the memory may grow to. It reserves address space, not memory. @default 4 GiB */
  readonly maxBytes?: number;
}

/** A block that one thread uses for packing and for results. */
export interface Scratch {
  readonly pointer: number;
  readonly bytes: number;
}

/** How `sgemm` reads its operands and treats C. All default to false. */
export interface SgemmFlags {
  /** A is stored k × m. */
  readonly transA?: boolean;
  /** B is stored n × k. */
  readonly transB?: boolean;
  /** Adds to C instead of overwriting it. */
  readonly accumulate?: boolean;
}

/** At the end of the scratch block: one target, and the two counts of `countGreater`. */
const COUNT_BYTES = 64;

/** A thread's kernels. Pointers are trusted: a wrong one corrupts the memory or traps. */
export class Kernels {
  readonly memory: WebAssembly.Memory;
  /** The block that this thread computes in. */
  readonly scratch: Scratch;
  readonly #wasm: KernelExports;
  readonly #arena: Arena | undefined;
  readonly #countsAt: number;
  readonly #countsFloat: Float32Array;
  readonly #countsWord: Uint32Array;

  private constructor(
    memory: WebAssembly.Memory,
    wasm: KernelExports,
    memoryOf: { arena?: Arena; scratch: Scratch },
  ) {
    const { pointer, bytes } = memoryOf.scratch;
    const needed = wasm.sgemmScratchBytes() + COUNT_BYTES;
    assert(bytes >= needed, `kernel scratch has ${bytes} bytes, but ${needed} are needed`);
    this.memory = memory;
    this.scratch = memoryOf.scratch;
    this.#wasm = wasm;
    this.#arena = memoryOf.arena;
    this.#countsAt = pointer + wasm.sgemmScratchBytes();
    this.#countsFloat = this.floats(this.#countsAt, 1);
    this.#countsWord = this.words(this.#countsAt + 4, 2);
  }

  /**
   * Instantiates the kernels on a new shared memory. Blocks are allocated on this thread only.
   * Raises `kernels_missing`, `out_of_memory` (no address space), `invalid_option`.
   */
  static async create(options: KernelsOptions = {}): Promise<Kernels> {
    const { initialBytes = DEFAULT_INITIAL_BYTES, maxBytes = MAX_MEMORY_BYTES } = options;
    if (!(maxBytes >= 2 * PAGE_BYTES && maxBytes <= MAX_MEMORY_BYTES)) {
      throw invalidOption('maxBytes', `from ${2 * PAGE_BYTES} to ${MAX_MEMORY_BYTES}`, maxBytes);
    }
    if (!(initialBytes >= 0 && initialBytes <= maxBytes)) {
      throw invalidOption('initialBytes', `from 0 to maxBytes (${maxBytes})`, initialBytes);
    }
    const memory = reserveMemory(Math.max(initialBytes, PAGE_BYTES), maxBytes);
    const wasm = await instantiateKernels(memory);
    const arena = new Arena(growingSpace(memory, maxBytes), FIRST_BLOCK_BYTES);
    const bytes = wasm.sgemmScratchBytes() + COUNT_BYTES;
    return new Kernels(memory, wasm, { arena, scratch: { pointer: arena.alloc(bytes), bytes } });
  }

  /**
   * The kernels on the memory of another thread. `scratch` comes from `allocScratch` there, one for
   * each thread.
   */
  static async attach(memory: WebAssembly.Memory, scratch: Scratch): Promise<Kernels> {
    return new Kernels(memory, await instantiateKernels(memory), { scratch });
  }

  /** Bytes in blocks that are taken. On the creator's thread. */
  get usedBytes(): number {
    return this.#allocator.usedBytes;
  }

  /** A 64-byte aligned block, not zeroed. On the creator's thread. Raises `out_of_memory`. */
  alloc(bytes: number): number {
    return this.#allocator.alloc(bytes);
  }

  /** Gives a block back. On the creator's thread. */
  free(pointer: number): void {
    this.#allocator.free(pointer);
  }

  /** A block for `attach`. Free its pointer when the thread has ended. */
  allocScratch(): Scratch {
    return { pointer: this.alloc(this.scratch.bytes), bytes: this.scratch.bytes };
  }

  /** A view of floats; it stays valid when the memory grows. */
  floats(pointer: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, pointer, length);
  }

  /** A view of 32-bit words: pointers, counts. */
  words(pointer: number, length: number): Uint32Array {
    return new Uint32Array(this.memory.buffer, pointer, length);
  }

  /** A view of bytes. */
  bytes(pointer: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, pointer, length);
  }

  /**
   * C[m×n] = (accumulate ? C : 0) + op(A)[m×k] · op(B)[k×n]. Every element is summed over k by the
   * same operations in the same order whatever m, n, its position and the flags: bit for bit.
   */
  sgemm(
    flags: SgemmFlags,
    m: number,
    n: number,
    k: number,
    a: number,
    lda: number,
    b: number,
    ldb: number,
    c: number,
    ldc: number,
  ): void {
    const transA = flags.transA ? 1 : 0;
    const transB = flags.transB ? 1 : 0;
    const add = flags.accumulate ? 1 : 0;
    const { pointer } = this.scratch;
    this.#wasm.sgemm(transA, transB, add, m, n, k, a, lda, b, ldb, c, ldc, pointer);
  }

  /** Runs a kernel by name; what it returns, or 0. */
  invoke({ operation, args }: Task): number {
    const kernel = this.#wasm[operation] as (...args: readonly number[]) => number | undefined;
    const scratch = operation === 'sgemm' ? [this.scratch.pointer] : [];
    return kernel(...args, ...scratch) ?? 0;
  }

  /** Σ x[i]·y[i] over n floats. */
  dot(n: number, x: number, y: number): number {
    return this.#wasm.dot(n, x, y);
  }

  /** y += alpha · x over n floats. */
  axpy(n: number, alpha: number, x: number, y: number): void {
    this.#wasm.axpy(n, alpha, x, y);
  }

  /** x *= alpha over n floats. */
  scal(n: number, alpha: number, x: number): void {
    this.#wasm.scal(n, alpha, x);
  }

  /** target[i] = *sources[i]: rows of `dim` floats; `sources` points to `rows` 32-bit pointers. */
  gather(rows: number, dim: number, sources: number, target: number): void {
    this.#wasm.gather(rows, dim, sources, target);
  }

  /** *targets[i] += source[i], in order; a target may appear more than once. */
  scatterAdd(rows: number, dim: number, source: number, targets: number): void {
    this.#wasm.scatterAdd(rows, dim, source, targets);
  }

  /**
   * Adagrad: s += g², p −= rate · g / (√s + epsilon), element by element. `params` and `states`
   * point to `rows` pointers, to rows of `dim` floats each; `gradients` to the rows themselves.
   * Duchi, Hazan and Singer, "Adaptive Subgradient Methods" (2011).
   */
  adagrad(
    rows: number,
    dim: number,
    params: number,
    states: number,
    gradients: number,
    rate: number,
    epsilon: number,
  ): void {
    this.#wasm.adagrad(rows, dim, params, states, gradients, rate, epsilon);
  }

  /** Adagrad with one float of state a row, which collects the mean of g². */
  adagradRowWise(
    rows: number,
    dim: number,
    params: number,
    states: number,
    gradients: number,
    rate: number,
    epsilon: number,
  ): void {
    this.#wasm.adagradRowWise(rows, dim, params, states, gradients, rate, epsilon);
  }

  /** out = a ∘ b over rows of `dim` floats: dim/2 real parts, then dim/2 imaginary ones. */
  complexMultiply(rows: number, dim: number, a: number, b: number, out: number): void {
    this.#requirePairs(dim);
    this.#wasm.complexMultiply(rows, dim, a, b, out);
  }

  /** out = a ∘ conj(b). `out` may be `a` or `b`. */
  complexMultiplyConj(rows: number, dim: number, a: number, b: number, out: number): void {
    this.#requirePairs(dim);
    this.#wasm.complexMultiplyConj(rows, dim, a, b, out);
  }

  /**
   * Softmax over [positive | n negatives] of each row, loss = −log p(positive). `positives` (one
   * float a row) and `scores` (`ldScores` floats a row) become d(loss)/d(score) · scale. Returns
   * the sum of the losses. A score of −Infinity is masked; a score that is not a number makes the
   * sum one, too.
   */
  softmaxCrossEntropy(
    rows: number,
    n: number,
    scores: number,
    ldScores: number,
    positives: number,
    scale: number,
  ): number {
    return this.#wasm.softmaxCrossEntropy(rows, n, scores, ldScores, positives, scale);
  }

  /**
   * The N3 regulariser over complex rows: gradients += 3 · scale · |x| · x; returns Σ|x|³, not
   * scaled. Lacroix, Usunier and Obozinski, "Canonical Tensor Decomposition for KB Completion"
   * (2018).
   */
  n3(rows: number, dim: number, x: number, gradients: number, scale: number): number {
    this.#requirePairs(dim);
    return this.#wasm.n3(rows, dim, x, gradients, scale);
  }

  /** How many of n scores are greater than `target`, rounded to float32, and how many equal it. */
  countGreater(n: number, scores: number, target: number): { greater: number; equal: number } {
    const at = this.#countsAt;
    this.#countsFloat[0] = target;
    this.#countsWord.fill(0);
    this.#wasm.countGreater(1, n, scores, n, at, at + 4, at + 8);
    return { greater: this.#countsWord[0]!, equal: this.#countsWord[1]! };
  }

  /**
   * Adds to `greater` and `equal` (one 32-bit word a row) how many of the row's n scores are
   * greater than its float in `targets`, and how many equal it. A score that is not a number is
   * neither; a target that is not a number is beaten by every score, so that it ranks last.
   */
  countGreaterRows(
    rows: number,
    n: number,
    scores: number,
    ldScores: number,
    targets: number,
    greater: number,
    equal: number,
  ): void {
    this.#wasm.countGreater(rows, n, scores, ldScores, targets, greater, equal);
  }

  #requirePairs(dim: number): void {
    assert(dim % 2 === 0, `complex rows of odd width ${dim}`);
  }

  get #allocator(): Arena {
    assert(this.#arena, 'kernels that were attached cannot allocate; their creator does');
    return this.#arena;
  }
}

function reserveMemory(initialBytes: number, maxBytes: number): WebAssembly.Memory {
  const initial = Math.ceil(initialBytes / PAGE_BYTES);
  const maximum = Math.floor(maxBytes / PAGE_BYTES);
  try {
    return new WebAssembly.Memory({ initial: Math.min(initial, maximum), maximum, shared: true });
  } catch (cause) {
    throw new FlotillaError(
      'out_of_memory',
      `no shared memory of ${initialBytes} bytes, limit ${maxBytes}: ${messageOf(cause)}`,
      { details: { requested: initialBytes, limit: maxBytes }, cause },
    );
  }
}

function growingSpace(memory: WebAssembly.Memory, maxBytes: number) {
  return {
    // The last page stays free, so that the end of a block is a 32-bit number as well.
    maxBytes:
      Math.min(Math.floor(maxBytes / PAGE_BYTES), MAX_MEMORY_BYTES / PAGE_BYTES - 1) * PAGE_BYTES,
    get bytes() {
      return memory.buffer.byteLength;
    },
    grow(bytes: number) {
      try {
        memory.grow(Math.ceil((bytes - memory.buffer.byteLength) / PAGE_BYTES));
        return true;
      } catch {
        return false;
      }
    },
  };
}
