// The step of ComplEx against a plain double-precision reference, and its gradients against finite
// differences of that reference.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPrng } from '../../src/core/index.ts';
import { Kernels } from '../../src/devices/index.ts';
import {
  allocateScratch,
  allocateSlot,
  ComplexStep,
  freeLayout,
  maxEntities,
} from '../../src/training/complex.ts';
import { complexQueries } from '../../src/training/evaluator.ts';

const SHAPE = { dim: 10, batch: 5, negatives: 7, relationRows: 6 };
const ENTITIES = 8;
const RELATIONS = 4;

interface Batch {
  readonly entities: Float64Array;
  readonly relations: Float64Array;
  readonly subjects: readonly number[];
  readonly relationOf: readonly number[];
  readonly negatives: readonly number[];
}

function drawBatch(seed: number, batch: number): Batch {
  const prng = createPrng(seed);
  const floats = (length: number) =>
    Float64Array.from({ length }, () => Math.fround(prng.normal()));
  const indices = (length: number, bound: number) => Array.from({ length }, () => prng.int(bound));
  return {
    entities: floats(ENTITIES * SHAPE.dim),
    relations: floats(RELATIONS * SHAPE.dim),
    subjects: indices(2 * batch, ENTITIES),
    relationOf: indices(2 * batch, RELATIONS),
    negatives: indices(SHAPE.negatives, ENTITIES),
  };
}

const row = (rows: Float64Array, index: number) =>
  rows.subarray(index * SHAPE.dim, (index + 1) * SHAPE.dim);

function score(h: Float64Array, r: Float64Array, t: Float64Array): number {
  const half = SHAPE.dim / 2;
  let sum = 0;
  for (let j = 0; j < half; j++) {
    sum += (h[j]! * r[j]! - h[half + j]! * r[half + j]!) * t[j]!;
    sum += (h[j]! * r[half + j]! + h[half + j]! * r[j]!) * t[half + j]!;
  }
  return sum;
}

function cubes(x: Float64Array): number {
  const half = SHAPE.dim / 2;
  let sum = 0;
  for (let j = 0; j < half; j++) sum += Math.hypot(x[j]!, x[half + j]!) ** 3;
  return sum;
}

/** Mean loss of a direction, and the mean of the regulariser. */
function reference(batch: Batch, regularisation: number): { loss: number; total: number } {
  const n = batch.subjects.length;
  let loss = 0;
  let penalty = 0;
  for (let i = 0; i < n; i++) {
    const target = batch.subjects[(i + n / 2) % n]!;
    const h = row(batch.entities, batch.subjects[i]!);
    const r = row(batch.relations, batch.relationOf[i]!);
    const t = row(batch.entities, target);
    const rivals = batch.negatives.filter((negative) => negative !== target);
    const scores = rivals.map((negative) => score(h, r, row(batch.entities, negative)));
    const positive = score(h, r, t);
    const peak = Math.max(positive, ...scores);
    const sum = [positive, ...scores].reduce((total, s) => total + Math.exp(s - peak), 0);
    loss += peak + Math.log(sum) - positive;
    penalty += cubes(h) + cubes(r) + cubes(t);
  }
  return { loss: loss / n, total: (loss + regularisation * penalty) / n };
}

async function withStep(
  regularisation: number,
  use: (
    compute: (batch: Batch) => { loss: number; entities: number[]; relations: number[] },
  ) => void,
): Promise<void> {
  const kernels = await Kernels.create();
  const used = kernels.usedBytes;
  const slot = allocateSlot(kernels, SHAPE);
  const scratch = allocateScratch(kernels, SHAPE);
  const step = new ComplexStep(kernels, { shape: SHAPE, scratch }, regularisation);
  use((batch) => {
    const counts = { batch: batch.subjects.length / 2, entities: ENTITIES, relations: RELATIONS };
    kernels.floats(slot.entityRows, batch.entities.length).set(batch.entities);
    kernels.floats(slot.relationRows, batch.relations.length).set(batch.relations);
    kernels.words(slot.subjects, batch.subjects.length).set(batch.subjects);
    kernels.words(slot.relations, batch.relationOf.length).set(batch.relationOf);
    kernels.words(slot.negatives, batch.negatives.length).set(batch.negatives);
    const loss = step.run(slot, counts);
    return {
      loss,
      entities: [...kernels.floats(slot.entityGradients, batch.entities.length)],
      relations: [...kernels.floats(slot.relationGradients, batch.relations.length)],
    };
  });
  freeLayout(kernels, slot);
  freeLayout(kernels, scratch);
  assert.equal(kernels.usedBytes, used);
}

/** Central difference of the reference by one number of `values`. */
function slope(batch: Batch, values: Float64Array, index: number, regularisation: number): number {
  const width = 1e-5;
  const held = values[index]!;
  values[index] = held + width;
  const above = reference(batch, regularisation).total;
  values[index] = held - width;
  const below = reference(batch, regularisation).total;
  values[index] = held;
  return (above - below) / (2 * width);
}

for (const regularisation of [0, 0.1]) {
  test(`gradients are those of the loss, regularisation ${regularisation}`, async () => {
    await withStep(regularisation, (compute) => {
      for (const [seed, size] of [
        [1, SHAPE.batch],
        [2, SHAPE.batch],
        [3, 2],
      ] as const) {
        const batch = drawBatch(seed, size);
        const result = compute(batch);
        assert.ok(Math.abs(result.loss - reference(batch, 0).loss) < 1e-4);
        for (const kind of ['entities', 'relations'] as const) {
          result[kind].forEach((gradient, index) => {
            const expected = slope(batch, batch[kind], index, regularisation);
            const tolerance = 2e-4 * Math.max(1, Math.abs(expected));
            assert.ok(
              Math.abs(gradient - expected) < tolerance,
              `seed ${seed}, ${kind}[${index}]: ${gradient} instead of ${expected}`,
            );
          });
        }
      }
    });
  });
}

test('a negative that equals the target is left out of the softmax', async () => {
  await withStep(0, (compute) => {
    const batch = { ...drawBatch(4, 1), subjects: [0, 1], negatives: [1, 1, 1, 1, 1, 1, 1] };
    const alone = reference(batch, 0);
    assert.ok(Math.abs(compute(batch).loss - alone.loss) < 1e-5);
  });
});

test('queries of the evaluation are those of the step', () => {
  const batch = drawBatch(5, 3);
  const subjects = Float32Array.from(row(batch.entities, 2));
  const query = complexQueries(subjects, Uint32Array.of(3), Float32Array.from(batch.relations));
  const target = row(batch.entities, 5);
  const direct = query.reduce((sum, value, j) => sum + value * target[j]!, 0);
  const expected = score(row(batch.entities, 2), row(batch.relations, 3), target);
  assert.ok(Math.abs(direct - expected) < 1e-5);
});

test('a batch has room for all its entities', () => {
  assert.equal(maxEntities(SHAPE), 17);
});
