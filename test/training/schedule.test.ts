// Distribution of an epoch, learning rate, early stop, batches: the pure parts of the trainer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createPrng, hasCode } from '../../src/core/index.ts';
import { Kernels } from '../../src/devices/index.ts';
import { BatchPlanner, createSlot } from '../../src/training/batch-planner.ts';
import { allocateSlot } from '../../src/training/complex.ts';
import { EarlyStop, EpochSchedule, rateAt } from '../../src/training/schedule.ts';
import { resolveTrainOptions } from '../../src/training/index.ts';
import type { Assignment } from '../../src/training/schedule.ts';

const WORKERS = ['a', 'b', 'c'];

/** Runs an epoch with chunks ending, and workers failing, in a drawn order. */
function simulate(batches: number, seed: number, losses: number): number[] {
  const prng = createPrng(seed);
  const schedule = new EpochSchedule(batches, WORKERS);
  const running: Assignment[] = [];
  const trained = new Array<number>(batches).fill(0);
  let left = losses;
  for (;;) {
    for (const assignment of schedule.assign()) {
      assert.ok(schedule.workers.includes(assignment.worker));
      running.push(assignment);
    }
    if (schedule.finished) return trained;
    assert.ok(running.length > 0, 'the schedule waits for nothing');
    if (left > 0 && prng.int(4) === 0) {
      left--;
      schedule.lose(schedule.workers[prng.int(schedule.workers.length)]!);
      continue;
    }
    const [ended] = running.splice(prng.int(running.length), 1);
    const counted = schedule.complete(ended!.id);
    for (let i = 0; counted && i < ended!.count; i++) trained[ended!.first + i]!++;
  }
}

test('every batch is trained and counted once, whoever is lost on the way', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 400 }), fc.nat(), fc.nat(2), (batches, seed, losses) => {
      assert.deepEqual(new Set(simulate(batches, seed, losses)), new Set([1]));
    }),
    { numRuns: 100 },
  );
});

test('a slow worker holds two chunks, and the others train the rest', () => {
  const schedule = new EpochSchedule(1000, ['slow', 'fast']);
  const held: Assignment[] = [];
  let trained = 0;
  for (let queue = schedule.assign(); queue.length > 0; ) {
    const next = queue.shift()!;
    if (next.worker === 'slow') held.push(next);
    else {
      trained += next.count;
      schedule.complete(next.id);
      queue = [...queue, ...schedule.assign()];
    }
  }
  assert.equal(held.length, 2);
  const slow = held.reduce((sum, { count }) => sum + count, 0);
  assert.equal(trained + slow, 1000);
  assert.ok(slow <= 24);
});

test('chunks shrink towards the end of an epoch', () => {
  const schedule = new EpochSchedule(200, WORKERS);
  const sizes: number[] = [];
  for (let queue = schedule.assign(); queue.length > 0; ) {
    const { id, count } = queue.shift()!;
    sizes.push(count);
    schedule.complete(id);
    queue = [...queue, ...schedule.assign()];
  }
  assert.equal(sizes[0], 12);
  assert.equal(sizes.at(-1), 1);
  assert.deepEqual(
    sizes,
    sizes.toSorted((a, b) => b - a),
  );
});

test('with no worker left nothing is handed out, and nothing is called finished', () => {
  const schedule = new EpochSchedule(10, ['a']);
  assert.ok(schedule.assign().length > 0);
  assert.ok(schedule.lose('a'));
  assert.equal(schedule.lose('a'), false);
  assert.deepEqual(schedule.assign(), []);
  assert.equal(schedule.finished, false);
});

test('the rate stays, or falls in a straight line', () => {
  assert.equal(rateAt({ rate: 0.1, decay: 'none' }, 99, 100), 0.1);
  assert.equal(rateAt({ rate: 0.1, decay: 'linear' }, 0, 100), 0.1);
  assert.equal(rateAt({ rate: 0.1, decay: 'linear' }, 50, 100), 0.05);
});

test('early stop waits for `patience` looks without a better figure', () => {
  const early = new EarlyStop(2);
  const looks = [0.1, 0.3, 0.2, 0.31, Number.NaN, 0.3].map((figure) => early.shouldStop(figure));
  assert.deepEqual(looks, [false, false, false, false, false, true]);
  assert.equal(early.best, 0.31);
});

test('an epoch of batches holds each triple once, the same on every node', async () => {
  const kernels = await Kernels.create();
  const shape = { dim: 4, batch: 16, negatives: 9, relationRows: 6 };
  const entities = 50;
  const prng = createPrng(1);
  const train = Uint32Array.from({ length: 3 * 100 }, (_, i) =>
    prng.int(i % 3 === 1 ? 3 : entities),
  );
  const rows = (count: number) => ({
    handles: Uint32Array.from({ length: 2 * count }, (_, i) => (i % 2 === 0 ? 100 + i / 2 : 7)),
    owners: Uint32Array.from({ length: count }, (_, i) => i % 3),
  });
  const source = { train, entities: rows(entities), relations: rows(6) };
  const plan = () => {
    const planner = new BatchPlanner(source, shape, 42);
    const slot = createSlot(kernels, allocateSlot(kernels, shape), shape);
    return Array.from({ length: 7 }, (_, index) => {
      const counts = planner.plan(slot, 3, index);
      const entity = (place: number) => slot.entityHandles[2 * place]! - 100;
      const relation = (place: number) => slot.relationHandles[2 * place]! - 100;
      const owners = Array.from({ length: counts.entities }, (_, place) => entity(place) % 3);
      assert.deepEqual(owners, owners.toSorted(), 'rows of an owner are side by side');
      assert.equal(
        new Set(slot.entityHandles.subarray(0, 2 * counts.entities)).size - 1,
        owners.length,
      );
      const triples = Array.from({ length: counts.batch }, (_, i) => {
        assert.equal(
          relation(slot.relations[counts.batch + i]!),
          relation(slot.relations[i]!) + 3,
          'the way back takes the inverse relation',
        );
        return [
          entity(slot.subjects[i]!),
          relation(slot.relations[i]!),
          entity(slot.subjects[counts.batch + i]!),
        ].join();
      });
      return { triples, negatives: Array.from(slot.negatives, entity) };
    });
  };
  const batches = plan();
  const expected = Array.from({ length: 100 }, (_, i) => train.subarray(3 * i, 3 * i + 3).join());
  assert.deepEqual(batches.flatMap(({ triples }) => triples).sort(), expected.sort());
  assert.deepEqual(plan(), batches);
  assert.notDeepEqual(batches[0]!.negatives, batches[1]!.negatives);
});

test('options outside their rule are refused with option, rule and value', () => {
  const cases: [object, string, RegExp][] = [
    [{ dim: 201 }, 'dim', /a multiple of 2, but is 201/],
    [{ dim: 'wide' }, 'dim', /of type number, but is wide/],
    [{ batch: 0 }, 'batch', /at least 1, but is 0/],
    [{ epochs: 1.5 }, 'epochs', /a whole number, but is 1.5/],
    [{ rate: 0 }, 'rate', /above 0, but is 0/],
    [{ regularisation: -1 }, 'regularisation', /at least 0, but is -1/],
    [{ model: 'transe' }, 'model', /one of complex, but is transe/],
    [{ decay: 'cosine' }, 'decay', /one of none, linear, but is cosine/],
    [{ epoch: 3 }, 'epoch', /one of model, dim, .*but is unknown/],
  ];
  for (const [options, option, message] of cases) {
    assert.throws(
      () => resolveTrainOptions(options),
      (error) => {
        assert.ok(hasCode(error, 'invalid_option'));
        assert.equal(error.details['option'], option);
        assert.match(error.message, message);
        return true;
      },
    );
  }
  assert.equal(resolveTrainOptions({}).dim, 200);
});
