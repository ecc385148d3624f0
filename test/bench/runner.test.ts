// The runner of all benches: turns, medians, contestants that cannot take part or that fail.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineBench, median } from '../../bench/harness.ts';
import { runBench } from '../../bench/runner.ts';
import type { Bench, Contestant } from '../../bench/harness.ts';

/** A contestant that runs one line of JavaScript. */
const script = (name: string, code: string): Contestant => ({
  name,
  command: () => [process.execPath, '-e', code],
});
const figures = (value: number, input = '') =>
  `console.log('noise'); console.log('${JSON.stringify({ figures: { speed: value }, input })}')`;

function benchOf(contestants: readonly Contestant[], rounds = 1): Bench {
  return defineBench({
    name: 'sample',
    summary: 'a sample',
    needs: 'nothing',
    workload: { items: 10 },
    quickWorkload: { items: 1 },
    rounds,
    contestants,
    ratios: {
      X1: {
        title: 'ours vs theirs',
        of: ['ours', 'speed'],
        over: ['theirs', 'speed'],
        target: { atLeast: 2 },
      },
      X2: { title: 'ours alone', of: ['ours', 'speed'], target: { atMost: 5 } },
    },
  });
}

test('contestants take turns, and a ratio is judged by its target', async () => {
  const turns: string[] = [];
  const bench = benchOf([script('ours', figures(6)), script('theirs', figures(2))], 2);
  const onRun = (name: string, round: number) => void turns.push(`${name} ${round}`);
  const { ratios, medians } = await runBench(bench, { quick: false, onRun });
  assert.deepEqual(turns, ['ours 1', 'theirs 1', 'ours 2', 'theirs 2']);
  assert.deepEqual(medians, { ours: { speed: 6 }, theirs: { speed: 2 } });
  const outcomes = ratios.map(({ id, value, reached }) => [id, value, reached]);
  assert.deepEqual(outcomes, [
    ['X1', 3, true],
    ['X2', 6, false],
  ]);
});

test('a ratio without its peer says why it was not measured', async () => {
  const absent: readonly (readonly [Contestant, RegExp])[] = [
    [{ name: 'theirs', command: () => ['flotilla-no-such-program'] }, /is not installed$/],
    [{ ...script('theirs', ''), prepare: () => 'no compiler' }, /theirs: no compiler$/],
    [script('theirs', `console.log('{"unavailable":"no AVX2"}')`), /theirs: no AVX2$/],
  ];
  for (const [contestant, reason] of absent) {
    const bench = benchOf([script('ours', figures(1)), contestant]);
    const { ratios } = await runBench(bench, { quick: true });
    assert.match(String(ratios[0]?.value), /^not measured: /);
    assert.match(String(ratios[0]?.value), reason);
    assert.equal(ratios[1]?.value, 1);
  }
});

test('a contestant that fails, or says nothing usable, fails the bench', async () => {
  const broken: readonly (readonly [string, RegExp])[] = [
    ['console.error("boom"); process.exit(3)', /theirs ended with status 3:\nboom/],
    ['console.log("no JSON")', /theirs did not end with a line of figures/],
    [`console.log('{"figures":{"speed":"fast"}}')`, /theirs did not end with a line of figures/],
    [`console.log('{"figures":{"other":1}}')`, /X1 needs the figure theirs.speed/],
  ];
  for (const [code, message] of broken) {
    const bench = benchOf([script('ours', figures(1)), script('theirs', code)]);
    await assert.rejects(runBench(bench, { quick: true }), message);
  }
});

test('a contestant that exceeds its limit is ended and fails the bench', async () => {
  const hung = script('ours', 'setInterval(() => {}, 1000)');
  const bench = { ...benchOf([hung]), timeoutMs: 100 };
  await assert.rejects(
    runBench(bench, { quick: true }),
    /ours was ended by SIGKILL \(limit 100 ms\)/,
  );
});

test('contestants that worked on different data are no comparison', async () => {
  const bench = benchOf([script('ours', figures(1, 'aa')), script('theirs', figures(1, 'bb'))]);
  await assert.rejects(runBench(bench, { quick: true }), /different data/);
});

test('the workload hash depends on definition and data', async () => {
  const hashOf = async (quick: boolean, input: string) => {
    const both = [script('ours', figures(1, input)), script('theirs', figures(1, input))];
    return (await runBench(benchOf(both), { quick })).workload;
  };
  const hashes = [await hashOf(true, 'a'), await hashOf(false, 'a'), await hashOf(true, 'b')];
  assert.equal(new Set(hashes).size, 3);
  assert.equal(await hashOf(true, 'a'), hashes[0]);
});

test('the median of an even number is the mean of the two in the middle', () => {
  assert.deepEqual([median([3, 1, 2]), median([4, 1, 2, 3]), median([5])], [2, 2.5, 5]);
});
