// How a training is shown: a bar where a person watches, lines where nobody does.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Terminal, TrainingView } from '../../src/cli/index.ts';
import { systemClock } from '../../src/core/index.ts';
import type { RankMetrics, TrainEvent } from '../../src/training/index.ts';

const METRICS: RankMetrics = {
  ...{ mrr: 0.1743, hits1: 0.1212, hits3: 0.19, hits10: 0.2741, count: 10 },
  ...{ mrrOptimistic: 0.18, mrrPessimistic: 0.17 },
};

function progress(epoch: number, fraction: number): TrainEvent {
  const rates = { loss: 5.25, triplesPerSecond: 182_345, etaSeconds: 64.2 };
  return { type: 'progress', epoch, epochs: 20, fraction, ...rates };
}

function epoch(number: number): TrainEvent {
  const figures = { loss: 5.25, seconds: 7.12, triplesPerSecond: 182_345 };
  return { type: 'epoch', epoch: number, epochs: 20, ...figures };
}

const RECORDED: readonly TrainEvent[] = [
  {
    ...{ type: 'start', model: 'wordnet', entities: 64_536, relations: 11, train: 119_096 },
    ...{ mirrored: 34_394, valid: 3_666, test: 3_818, workers: ['node-0', 'node-1', 'node-2'] },
  },
  progress(1, 0.02),
  epoch(1),
  progress(2, 0.07),
  epoch(2),
  { type: 'evaluating', split: 'valid', fraction: 0.5 },
  { type: 'validation', epoch: 2, metrics: METRICS },
  progress(3, 0.12),
  { type: 'evaluating', split: 'test', fraction: 0.5 },
  { type: 'worker-lost', node: 'node-2', code: 'peer_disconnected', message: 'it is gone' },
  {
    ...{ type: 'result', model: 'wordnet', metrics: METRICS, baseline: { ...METRICS, mrr: 0.02 } },
    ...{ seconds: 98.3, trainSeconds: 80, triplesPerSecond: 170_000, epochs: 20 },
    stoppedEarly: false,
  },
];

const ESCAPE = '\u001b';

interface Shown {
  readonly stream: { isTTY: boolean; columns: number };
  readonly env?: Record<string, string>;
  readonly stepMs?: number;
}

function show(events: readonly TrainEvent[], { stream, env = {}, stepMs = 250 }: Shown): string {
  let text = '';
  let now = 0;
  const write = (piece: string) => {
    text += piece;
  };
  const terminal = new Terminal({ write, ...stream }, env);
  const view = new TrainingView({ terminal, clock: { ...systemClock, now: () => now } });
  for (const event of events) {
    now += stepMs;
    view.show(event);
  }
  view.end();
  return text;
}

test('without a terminal there is a line per epoch, with its validation, and nothing else', () => {
  const text = show(RECORDED, { stream: { isTTY: false, columns: 0 } });
  assert.deepEqual(text.split('\n'), [
    'training wordnet on 3 nodes: 119,096 triples, 3,666 to validate, 3,818 to test',
    'epoch 1/20  loss 5.2500  182,345 triples/s  7.1 s',
    'epoch 2/20  loss 5.2500  182,345 triples/s  7.1 s  valid MRR 0.174',
    'evaluating on the test triples',
    'node-2 trains no more: it is gone',
    'test MRR 0.174 Hits@1 0.121 Hits@3 0.190 Hits@10 0.274',
    'base MRR 0.020 Hits@1 0.121 Hits@3 0.190 Hits@10 0.274  (what the symmetry rule alone scores)',
    '20 epochs, 1 min 38 s in all, 170,000 triples/s',
    '',
  ]);
});

test('on a terminal one line is redrawn with epoch, loss, rate and time left', () => {
  const stream = { isTTY: true, columns: 80 };
  const text = show(RECORDED, { stream, env: { NO_COLOR: '1' } });
  const drawn = text.split('\r');
  assert.match(
    drawn[1] ?? '',
    /^epoch {2}1\/20 {2}─+ {4}2 % {2}loss 5\.250 {2}182k triples\/s {2}1:05 left/,
  );
  assert.match(text, /\rtesting {2}━+─+ {3}50 %/);
  assert.ok(text.includes('\ntest MRR 0.174 Hits@1'));
  assert.ok(!text.includes(`${ESCAPE}[36m`) && !text.includes(`${ESCAPE}[1m`));
  assert.ok(show(RECORDED, { stream }).includes(`${ESCAPE}[36m━`));
});

test('the bar never wraps, however narrow the terminal', () => {
  for (let columns = 5; columns <= 200; columns++) {
    const stream = { isTTY: true, columns };
    const text = show([progress(20, 0.999), progress(7, 0)], { stream, env: { NO_COLOR: '1' } });
    for (const line of text.replaceAll('\u001b[K', '').split(/[\r\n]/)) {
      assert.ok(line.length < columns, `${line.length} of ${columns} columns: ${line}`);
    }
  }
});

test('the bar is redrawn at most ten times a second', () => {
  const events = Array.from({ length: 1_000 }, (_, index) => progress(1, index / 1_000));
  const text = show(events, { stream: { isTTY: true, columns: 80 }, stepMs: 1 });
  const drawn = text.split('\r').filter((line) => line.includes('epoch')).length;
  assert.ok(drawn >= 9 && drawn <= 11, `${drawn} redraws in a second`);
});

test('ending in the middle leaves an empty line, and no epoch untold', () => {
  const bar = show([progress(1, 0.5)], { stream: { isTTY: true, columns: 80 } });
  assert.ok(bar.endsWith('\r\u001b[K'));
  const plain = show([epoch(1)], { stream: { isTTY: false, columns: 80 } });
  assert.match(plain, /^epoch 1\/20 .*\n$/);
});
