// Writes the tables of docs/gateway.md about affinity, and their plots: `node
// bench/affinity/document.ts`. Tables stand between `<!-- NAME -->` and `<!-- end -->`; words
// around are written by hand. Every figure is the median over seeds of a simulation, so two runs
// write the same.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { barChart } from '../plot.ts';
import { bench } from './bench.ts';
import { Measurer } from './measure.ts';
import { SCENARIOS } from './scenarios.ts';
import type { PolicyName } from '../../src/routing/index.ts';
import type { BarChart } from '../plot.ts';
import type { Extent, Measured } from './measure.ts';
import type { Outcome } from './simulation.ts';

const DOCS = path.join(import.meta.dirname, '../../docs');

/** In the order of the tables; in plots each keeps its colour. */
const COLOURS: Readonly<Record<PolicyName, number>> = {
  'prefix-affinity': 0,
  'consistent-hash': 2,
  'least-load': 3,
  weighted: 1,
  'round-robin': 5,
  random: 6,
};
const POLICIES = Object.keys(COLOURS) as PolicyName[];

/** What fits below a bar. */
const SHORT_NAMES: Readonly<Record<string, string>> = {
  mixed: 'chats and\nagents',
  mixed2: '2\ngateways',
  mixed8: '8\ngateways',
  crowd: 'flash\ncrowd',
  slowNode: 'one\nslow node',
};

const measurer = new Measurer(bench.workload as unknown as Extent);
const measured = Object.fromEntries(
  POLICIES.map((policy) => {
    process.stderr.write(`${policy}\n`);
    return [policy, measurer.all(policy)];
  }),
) as Readonly<Record<PolicyName, Measured>>;

const outcome = (policy: PolicyName, id: string) => measured[policy][id] as Outcome;
const percent = (share: number) => `${(share * 100).toFixed(share > 0 && share < 0.1 ? 2 : 1)} %`;
const whole = (value: number) => Math.round(value).toLocaleString('en');
const times = (ratio: number) => ratio.toFixed(2);

function table(head: readonly string[], body: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...body.map(line)].join('\n');
}

/** What affinity is worth, with its price beside it. */
function gains(): string {
  const head = ['', 'cached', '× round-robin', 'p90 to first token', '× round-robin'];
  return table(
    [...head, 'errors', 'round-robin’s', 'busiest node'],
    SCENARIOS.map(({ id, name }) => {
      const affine = outcome('prefix-affinity', id);
      const blind = outcome('round-robin', id);
      return [
        name,
        percent(affine.hitRate),
        times(affine.hitRate / blind.hitRate),
        `${whole(affine.ttftP90Ms)} ms`,
        times(affine.ttftP90Ms / blind.ttftP90Ms),
        percent(affine.errorRate),
        percent(blind.errorRate),
        `${times(id === 'crowd' ? affine.crowdShare : affine.largestShare)} × mean`,
      ];
    }),
  );
}

function details(id: string, name: string): string {
  const head = [name, 'cached', 'p50 ms', 'p90 ms', 'p99 ms', 'errors', 'busiest', 'busy'];
  return table(
    head,
    POLICIES.map((policy) => {
      const { hitRate, errorRate, utilization, ...rest } = outcome(policy, id);
      const waits = [rest.ttftP50Ms, rest.ttftP90Ms, rest.ttftP99Ms].map(whole);
      const share = id === 'crowd' ? rest.crowdShare : rest.largestShare;
      const shares = [percent(errorRate), times(share), percent(utilization)];
      return [policy, percent(hitRate), ...waits, ...shares];
    }),
  );
}

function barsOf(title: string, y: BarChart['y'], value: (one: Outcome) => number): BarChart {
  return {
    title,
    subtitle: '8 engines, one gateway unless said otherwise; median of 3 seeds',
    categories: SCENARIOS.map(({ id }) => SHORT_NAMES[id] ?? id),
    y,
    labels: false,
    series: POLICIES.map((policy) => ({
      name: policy,
      colour: COLOURS[policy],
      points: SCENARIOS.map(({ id }, index) => [index, value(outcome(policy, id))] as const),
    })),
  };
}

function write(tables: Readonly<Record<string, string>>): void {
  const file = path.join(DOCS, 'gateway.md');
  let text = readFileSync(file, 'utf8');
  for (const [name, body] of Object.entries(tables)) {
    const place = new RegExp(`(<!-- ${name} -->\n).*?(<!-- end -->)`, 's');
    if (!place.test(text)) throw new Error(`docs/gateway.md has no place for "${name}"`);
    text = text.replace(place, (_, open, close) => `${open}\n${body}\n\n${close}`);
  }
  writeFileSync(file, text);
}

const save = (name: string, svg: string) =>
  writeFileSync(path.join(DOCS, 'img', `affinity-${name}.svg`), svg);

write({
  'affinity-gains': gains(),
  'affinity-details': SCENARIOS.map(({ id, name }) => details(id, name)).join('\n\n'),
});
mkdirSync(path.join(DOCS, 'img'), { recursive: true });
const cachedAxis = { name: '% of prompt tokens', min: 0, max: 100 };
const cached = barsOf('What was in the cache', cachedAxis, ({ hitRate }) => hitRate * 100);
save('cached', await barChart(cached));
const waitAxis = { name: 'milliseconds', logarithmic: true, min: 10 };
const wait = barsOf('p90 to the first token', waitAxis, ({ ttftP90Ms }) => ttftP90Ms);
save('first-token', await barChart(wait));
