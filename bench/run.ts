// `node bench/run.ts NAME [--quick] [--json]`: runs the bench of that folder and shows its ratios
// beside their targets. Without a name it lists the benches. Measuring is for `runner.ts`.
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { machineLine, runBench } from './runner.ts';
import type { Bench } from './harness.ts';
import type { Outcome, RatioOutcome } from './runner.ts';

const print = (text: string) => void process.stdout.write(`${text}\n`);

const fileOf = (name: string) => path.join(import.meta.dirname, name, 'bench.ts');

function benchNames(): string[] {
  return readdirSync(import.meta.dirname, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(fileOf(entry.name)))
    .map(({ name }) => name)
    .sort();
}

async function load(name: string): Promise<Bench> {
  const module = (await import(pathToFileURL(fileOf(name)).href)) as { bench: Bench };
  return module.bench;
}

/** Four significant digits, with separators for large numbers. */
const digits = (value: number) => value.toLocaleString('en', { maximumSignificantDigits: 4 });

/** Rows as aligned columns; the last one is left ragged. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
    .map((line) => `  ${line.trimEnd()}`)
    .join('\n');
}

function ratioRow({ id, title, value, target, reached }: RatioOutcome): string[] {
  const goal = 'atLeast' in target ? `>= ${target.atLeast}` : `<= ${target.atMost}`;
  if (typeof value === 'string') return [id, title, '-', goal, value];
  return [id, title, digits(value), goal, reached ? 'reached' : 'lost'];
}

function show(outcome: Outcome): void {
  const figures = Object.entries(outcome.medians).flatMap(([contestant, values]) =>
    Object.entries(values).map(([figure, value]) => [contestant, figure, digits(value)]),
  );
  print(`\nmedians of ${outcome.rounds} round${outcome.rounds === 1 ? '' : 's'}`);
  print(table([['contestant', 'figure', 'median'], ...figures]));
  print('\nratios');
  print(table([['id', 'what', 'ratio', 'target', ''], ...outcome.ratios.map(ratioRow)]));
  print(`\nworkload ${outcome.workload}`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: 'boolean' }, json: { type: 'boolean' } },
  });
  const [name] = positionals;
  if (name === undefined) {
    print('node bench/run.ts NAME [--quick] [--json]\n');
    const benches = await Promise.all(benchNames().map(load));
    print(table(benches.map((bench) => [bench.name, bench.summary, `(needs ${bench.needs})`])));
    return;
  }
  if (!benchNames().includes(name)) {
    throw new Error(`there is no bench "${name}"; there are: ${benchNames().join(', ')}`);
  }
  const bench = await load(name);
  const quick = values.quick ?? false;
  print(`${bench.name}: ${bench.summary}${quick ? ' (quick: the ratios mean nothing)' : ''}`);
  print(machineLine());
  const onRun = (contestant: string, round: number) =>
    void process.stderr.write(`round ${round}: ${contestant}\n`);
  const outcome = await runBench(bench, { quick, onRun });
  show(outcome);
  if (values.json) {
    const { workload, machine, medians } = outcome;
    const ratios = Object.fromEntries(outcome.ratios.map(({ id, value }) => [id, value]));
    print(JSON.stringify({ workload, machine, medians, ratios }));
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
