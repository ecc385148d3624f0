// Training across nodes: what is learnt, what is told, and what is left when it does not end well.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlotillaError, hasCode } from '../../src/core/index.ts';
import { startFleet } from './support.ts';
import { circleGraph } from './graphs.ts';
import type { TrainEvent } from '../../src/training/index.ts';
import type { TestFleet } from './support.ts';

const OPTIONS = {
  dim: 32,
  batch: 50,
  negatives: 50,
  epochs: 60,
  regularisation: 0.01,
  validateEvery: 20,
};

/** Nothing of a model is left: no record, no table, no memory, no job. */
async function assertNothingLeft(fleet: TestFleet, usedBytes: readonly number[]): Promise<void> {
  assert.deepEqual(await fleet.store.list('models/'), []);
  assert.deepEqual(await fleet.store.list('tables/'), []);
  const used = fleet.nodes.map(({ kernels }) => kernels.usedBytes);
  assert.deepEqual(used, usedBytes);
}

for (const count of [1, 3]) {
  test(`learns a graph's structure on ${count} node${count === 1 ? '' : 's'}`, async () => {
    await using fleet = await startFleet(count);
    const events: TrainEvent[] = [];
    const graph = circleGraph();
    const onEvent = (event: TrainEvent) => void events.push(event);
    const result = await fleet.nodes[0]!.trainer.train(graph, OPTIONS, { onEvent });
    assert.ok(result.metrics.mrr > 0.5, `MRR ${result.metrics.mrr}`);
    assert.ok(result.metrics.mrrPessimistic <= result.metrics.mrr);
    assert.ok(result.metrics.mrr <= result.metrics.mrrOptimistic);
    assert.equal(result.metrics.count, (2 * graph.test.length) / 3);
    assert.ok(result.baseline.mrr < 0.1, `baseline ${result.baseline.mrr}`);
    assert.deepEqual(events.at(-1), result);
    assert.deepEqual(events[0], {
      type: 'start',
      model: graph.name,
      entities: graph.entities.length,
      relations: graph.relations.length,
      train: graph.train.length / 3 - graph.mirrored,
      mirrored: graph.mirrored,
      valid: graph.valid.length / 3,
      test: graph.test.length / 3,
      workers: fleet.nodes.map(({ name }) => name),
    });
    const epochs = events.filter(({ type }) => type === 'epoch');
    assert.equal(epochs.length, result.epochs);
    assert.ok(events.some(({ type }) => type === 'validation'));
    assert.deepEqual(JSON.parse(JSON.stringify(events)), events);
    const info = await fleet.nodes.at(-1)!.models.get(graph.name);
    assert.equal(info.status, 'ready');
    assert.deepEqual(info.metrics, result.metrics);
  });
}

test('every node has a share of the work and of the rows', async () => {
  await using fleet = await startFleet(3);
  await fleet.nodes[1]!.trainer.train(circleGraph(), { ...OPTIONS, epochs: 3, validateEvery: 0 });
  for (const { name } of fleet.nodes) {
    assert.ok(fleet.network.calls.includes(`node-1>${name} training.run`), name);
    const pulls = fleet.network.calls.filter((call) => call.endsWith(`>${name} tables.pull`));
    assert.ok(pulls.length > 0, name);
  }
});

test('a training that is cancelled frees everything and says so', async () => {
  await using fleet = await startFleet(3);
  const cancel = async () => {
    const controller = new AbortController();
    const onEvent = ({ type }: TrainEvent) => {
      if (type === 'epoch') controller.abort();
    };
    const { signal } = controller;
    const training = fleet.nodes[0]!.trainer.train(circleGraph(), OPTIONS, { signal, onEvent });
    await assert.rejects(training, { code: 'cancelled' });
    return fleet.nodes.map(({ kernels }) => kernels.usedBytes);
  };
  // The first one leaves what tables keep for the next: their scratch.
  await assertNothingLeft(fleet, await cancel());
  const before = await cancel();
  await assertNothingLeft(fleet, await cancel());
  assert.deepEqual(before, await cancel());
  const signal = AbortSignal.abort();
  const aborted = fleet.nodes[0]!.trainer.train(circleGraph(), OPTIONS, { signal });
  await assert.rejects(aborted, { code: 'cancelled' });
});

test('stopping the node that trains cancels its training', async () => {
  await using fleet = await startFleet(2);
  const begun = Promise.withResolvers<void>();
  const onEvent = ({ type }: TrainEvent) => {
    if (type === 'epoch') begun.resolve();
  };
  const training = fleet.nodes[0]!.trainer.train(circleGraph(), OPTIONS, { onEvent });
  const outcome = assert.rejects(training, { code: 'cancelled' });
  await begun.promise;
  await fleet.nodes[0]!.trainer.stop();
  await outcome;
});

test('a node that is lost ends the training with the error that names it', async () => {
  await using fleet = await startFleet(3);
  const onEvent = ({ type }: TrainEvent) => {
    if (type === 'epoch') fleet.network.cut('node-2');
  };
  await assert.rejects(
    fleet.nodes[0]!.trainer.train(circleGraph(), OPTIONS, { onEvent }),
    (error) => {
      assert.ok(hasCode(error, 'owner_unreachable'), String(error));
      assert.equal(error.details['node'], 'node-2');
      return true;
    },
  );
  assert.deepEqual(await fleet.store.list('models/'), []);
});

test('a worker that fails alone is left out, and the others finish', async () => {
  await using fleet = await startFleet(3);
  fleet.network.hosts.get('node-1')!.handle('training.run', () => {
    throw new FlotillaError('step_failed', 'the thread for steps ended: out of luck');
  });
  const events: TrainEvent[] = [];
  const onEvent = (event: TrainEvent) => void events.push(event);
  const options = { ...OPTIONS, epochs: 3 };
  const result = await fleet.nodes[0]!.trainer.train(circleGraph(), options, { onEvent });
  assert.equal(result.epochs, 3);
  const lost = events.filter(({ type }) => type === 'worker-lost');
  assert.deepEqual(lost, [
    {
      type: 'worker-lost',
      node: 'node-1',
      code: 'step_failed',
      message: 'the thread for steps ended: out of luck',
    },
  ]);
});

test('with every worker failing there is one error with the cause', async () => {
  await using fleet = await startFleet(2);
  const used = fleet.nodes.map(({ kernels }) => kernels.usedBytes);
  for (const host of fleet.network.hosts.values()) {
    host.handle('training.start', () => {
      throw new FlotillaError('out_of_memory', 'no memory for the batches');
    });
  }
  await assert.rejects(fleet.nodes[0]!.trainer.train(circleGraph(), OPTIONS), (error) => {
    assert.ok(hasCode(error, 'no_workers'), String(error));
    assert.match(error.message, /no memory for the batches/);
    return true;
  });
  await assertNothingLeft(fleet, used);
});

test('a loss that is no number ends the training, and nothing of it stays', async () => {
  await using fleet = await startFleet(1);
  const used = fleet.nodes.map(({ kernels }) => kernels.usedBytes);
  fleet.network.hosts.get('node-0')!.handle('training.run', () => ({
    body: { loss: Number.NaN, triples: 50 },
  }));
  const training = fleet.nodes[0]!.trainer.train(circleGraph(), OPTIONS);
  await assert.rejects(training, { code: 'training_diverged' });
  await assertNothingLeft(fleet, used);
});

test('one model is trained once at a time, and a finished one is replaced', async () => {
  await using fleet = await startFleet(2);
  const [one, two] = fleet.nodes;
  const begun = Promise.withResolvers<void>();
  const options = { ...OPTIONS, epochs: 4, validateEvery: 0 };
  const first = one!.trainer.train(circleGraph(), options, { onEvent: () => begun.resolve() });
  await begun.promise;
  const second = two!.trainer.train(circleGraph(), options);
  await assert.rejects(second, { code: 'training_busy' });
  await first;
  const used = fleet.nodes.map(({ kernels }) => kernels.usedBytes);
  await two!.trainer.train(circleGraph(), options);
  assert.equal((await one!.models.get('circle')).trainer, 'node-1');
  assert.deepEqual(
    fleet.nodes.map(({ kernels }) => kernels.usedBytes),
    used,
  );
});

test('a table of the user that has the name is refused, and left alone', async () => {
  await using fleet = await startFleet(2);
  const table = await fleet.nodes[0]!.tables.create('circle', { dim: 4 });
  await table.insert(['mine']);
  const training = fleet.nodes[1]!.trainer.train(circleGraph(), OPTIONS);
  await assert.rejects(training, { code: 'table_exists' });
  assert.equal(await table.count(), 1);
  assert.deepEqual(await fleet.store.list('models/'), []);
});

test('a training whose trainer died is taken over by the next', async () => {
  await using fleet = await startFleet(2);
  const options = { ...OPTIONS, epochs: 2, validateEvery: 0 };
  await fleet.nodes[0]!.trainer.train(circleGraph(), options);
  const [entry] = await fleet.store.list('models/');
  const record = { ...JSON.parse(new TextDecoder().decode(entry!.value)), status: 'training' };
  const value = new TextEncoder().encode(JSON.stringify({ ...record, trainer: 'node-9' }));
  await fleet.store.compareAndSwap([], [{ put: entry!.key, value }]);
  await fleet.nodes[1]!.trainer.train(circleGraph(), options);
  assert.equal((await fleet.nodes[0]!.models.get('circle')).status, 'ready');
});

test('early stop ends a training that gets no better', async () => {
  await using fleet = await startFleet(1);
  const options = { ...OPTIONS, epochs: 500, validateEvery: 10, patience: 2 };
  const result = await fleet.nodes[0]!.trainer.train(circleGraph(), options);
  assert.ok(result.stoppedEarly);
  assert.ok(result.epochs < 500);
});

test('a graph smaller than a batch, with nothing to evaluate, is trained too', async () => {
  await using fleet = await startFleet(1);
  const graph = {
    ...circleGraph(),
    entities: ['a', 'b', 'c'],
    relations: ['r'],
    train: Uint32Array.of(0, 0, 1, 1, 0, 2),
    valid: new Uint32Array(0),
    test: new Uint32Array(0),
    symmetric: [],
    mirrored: 0,
  };
  const result = await fleet.nodes[0]!.trainer.train(graph, { epochs: 5, dim: 8 });
  assert.equal(result.metrics.count, 0);
  assert.equal(result.metrics.mrr, 0);
});
