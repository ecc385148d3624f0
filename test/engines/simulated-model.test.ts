// The simulated engine without its server: what is cached for whom, how steps share their tokens,
// and that nothing stays behind of a request that ended.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EngineModel } from '../../src/engines/index.ts';
import type { EngineModelOptions, EngineRequest, Sequence } from '../../src/engines/index.ts';

const OPTIONS: EngineModelOptions = {
  blockTokens: 10,
  cacheBlocks: 100,
  maxRunning: 4,
  maxWaiting: 2,
  maxStepTokens: 100,
  prefillTokensPerSecond: 1000,
  decodeTokensPerSecond: 100,
  slowdownPerSequence: 0.1,
};

/** Blocks of conversation `name` have keys of its own, from `name` × 1000 on. */
function request(name: number, promptTokens: number, outputTokens = 1): EngineRequest {
  const blocks = Math.floor((promptTokens + outputTokens) / 10);
  return {
    promptTokens,
    outputTokens,
    blockKeys: Array.from({ length: blocks }, (_, at) => name * 1000 + at),
  };
}

function submit(model: EngineModel<EngineRequest>, asked: EngineRequest): Sequence<EngineRequest> {
  const sequence = model.submit(asked);
  assert.ok(sequence !== undefined, 'the queue has room');
  return sequence;
}

/** Steps until nothing is left; the time that it took. */
function drain(model: EngineModel<EngineRequest>): number {
  let spentMs = 0;
  for (;;) {
    const stepMs = model.beginStep();
    if (stepMs === undefined) return spentMs;
    spentMs += stepMs;
    model.endStep();
  }
}

test('the next turn of a conversation finds prompt and answer of the last one in the cache', () => {
  const model = new EngineModel(OPTIONS);
  const first = submit(model, request(1, 100, 55));
  drain(model);
  assert.equal(first.cachedTokens, 0);
  const second = submit(model, request(1, 200, 1));
  drain(model);
  // 155 tokens, of which the last one of the answer was never computed.
  assert.equal(second.cachedTokens, 150);
  const stranger = submit(model, request(2, 200));
  drain(model);
  assert.equal(stranger.cachedTokens, 0);
  const { promptTokens, cachedTokens } = model.gauges();
  assert.deepEqual([promptTokens, cachedTokens], [500, 150]);
});

test('a prompt that is cached as a whole still computes its last token', () => {
  const model = new EngineModel(OPTIONS);
  submit(model, request(1, 100));
  drain(model);
  const again = submit(model, request(1, 100));
  drain(model);
  assert.equal(again.cachedTokens, 90);
});

test('siblings that arrive during a prefill find what is computed by then', () => {
  const model = new EngineModel(OPTIONS);
  submit(model, request(1, 300));
  model.beginStep();
  const early = submit(model, request(1, 300));
  model.endStep();
  model.beginStep();
  model.endStep();
  assert.equal(early.cachedTokens, 100);
});

test('steps take the time of their prompt tokens, and answers one step a token', () => {
  const model = new EngineModel(OPTIONS);
  submit(model, request(1, 150, 3));
  assert.equal(model.beginStep(), 100);
  assert.deepEqual(model.endStep(), []);
  assert.equal(model.beginStep(), 50);
  assert.equal(model.endStep()[0]?.generated, 1);
  submit(model, request(2, 200, 2));
  // One token of the first answer at 100 a second beside 99 of the second prompt.
  assert.equal(model.beginStep(), 10 + 99);
  model.endStep();
  assert.equal(model.beginStep(), 10 + 99);
  model.endStep();
  assert.equal(model.beginStep(), 2);
});

test('running sequences slow each other down', () => {
  const model = new EngineModel(OPTIONS);
  for (let name = 1; name <= 3; name++) submit(model, request(name, 10, 5));
  model.beginStep();
  model.endStep();
  assert.equal(model.beginStep(), 10 * 1.2);
});

test('those over the batch wait in order, and those over the queue are refused', () => {
  const model = new EngineModel({ ...OPTIONS, maxRunning: 1 });
  const sequences: Sequence<EngineRequest>[] = [submit(model, request(1, 10))];
  model.beginStep();
  for (const name of [2, 3]) sequences.push(submit(model, request(name, 10)));
  assert.equal(model.submit(request(4, 10)), undefined);
  assert.deepEqual([model.gauges().running, model.gauges().waiting], [1, 2]);
  model.endStep();
  const ended = () => sequences.map(({ status }) => status);
  assert.deepEqual(ended(), ['done', 'waiting', 'waiting']);
  drain(model);
  assert.deepEqual(ended(), ['done', 'done', 'done']);
});

test('the blocks used longest ago are evicted, the end of a prompt before its beginning', () => {
  const model = new EngineModel({ ...OPTIONS, cacheBlocks: 40 });
  for (const name of [1, 2]) {
    submit(model, request(name, 195, 5));
    drain(model);
  }
  // 38 of 40 blocks are in use; 10 more evict 8 at the end of the older conversation.
  submit(model, request(3, 99));
  drain(model);
  const old = submit(model, request(1, 195, 5));
  const newer = submit(model, request(2, 195, 5));
  model.beginStep();
  assert.equal(old.cachedTokens, 110);
  assert.equal(newer.cachedTokens, 110, 'its end made room for the older one');
});

test('cancelling frees place and blocks at once, whatever the request was doing', () => {
  const model = new EngineModel({ ...OPTIONS, maxRunning: 1 });
  const running = submit(model, request(1, 900, 99));
  const waiting = submit(model, request(2, 10));
  model.beginStep();
  assert.ok(model.gauges().cacheUsage >= 1);
  model.cancel(running);
  model.cancel(waiting);
  assert.deepEqual([running.status, waiting.status], ['cancelled', 'cancelled']);
  const { running: left, waiting: queued, cacheUsage } = model.gauges();
  assert.deepEqual([left, queued, cacheUsage], [0, 0, 0]);
  assert.deepEqual(model.endStep(), []);
  assert.equal(model.beginStep(), undefined);
});

test('whatever is submitted, cancelled and stepped, everybody ends and nothing is kept', () => {
  const action = fc.oneof(
    fc.record({ name: fc.integer({ min: 1, max: 4 }), prompt: fc.integer({ min: 1, max: 500 }) }),
    fc.record({ cancel: fc.nat(40) }),
    fc.constant('step' as const),
  );
  const run = (actions: readonly unknown[]) => {
    const model = new EngineModel({ ...OPTIONS, cacheBlocks: 60 });
    const sequences: Sequence<EngineRequest>[] = [];
    let inStep = false;
    for (const one of actions as fc.Arbitrary<never>[]) {
      const { name, prompt, cancel } = one as unknown as Record<string, number>;
      if (name !== undefined && prompt !== undefined) {
        const sequence = model.submit(request(name, prompt, 1 + (prompt % 30)));
        if (sequence !== undefined) sequences.push(sequence);
      } else if (cancel !== undefined) {
        const sequence = sequences[cancel];
        if (sequence !== undefined) model.cancel(sequence);
      } else if (inStep) {
        model.endStep();
        inStep = false;
      } else {
        inStep = model.beginStep() !== undefined;
      }
      assert.ok(model.gauges().cacheUsage <= 1);
    }
    if (inStep) model.endStep();
    drain(model);
    for (const { status, generated, cachedTokens, request: asked } of sequences) {
      assert.ok(status === 'cancelled' || generated === asked.outputTokens);
      assert.ok(cachedTokens < asked.promptTokens);
    }
    const { running, waiting, cacheUsage } = model.gauges();
    assert.deepEqual([running, waiting, cacheUsage], [0, 0, 0]);
  };
  fc.assert(fc.property(fc.array(action, { maxLength: 80 }), run));
});

test('options outside their rules are refused with rule and value', () => {
  assert.throws(() => new EngineModel({ maxRunning: 0 }), {
    code: 'invalid_option',
    message: 'maxRunning must be a whole number of at least 1, but is 0',
  });
  assert.throws(() => new EngineModel({ prefillTokensPerSecond: Number.NaN }), {
    code: 'invalid_option',
  });
});
