// Writes the tables of docs/balancing.md and its plots: `node bench/balancing/document.ts`.
// Tables stand between `<!-- NAME -->` and `<!-- end -->`; words around are written by hand.
// Every figure is the median over seeds of a simulation, so two runs write the same.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { LOAD_DEFAULTS } from '../../src/load/index.ts';
import { median } from '../harness.ts';
import { barChart, lineChart } from '../plot.ts';
import { POLICIES } from './policies.ts';
import { scenarios } from './scenarios.ts';
import { simulate } from './simulation.ts';
import { VARIANTS } from './variants.ts';
import type { BarChart, Chart, Series } from '../plot.ts';
import type { Scenario } from './scenarios.ts';
import type { Outcome, Policy } from './simulation.ts';

const DOCS = path.join(import.meta.dirname, '../../docs');
const SEEDS = 5;
const DURATION_MS = 300_000;
const SWEEP_DURATION_MS = 120_000;

const STALENESS_S = [0.1, 0.25, 0.5, 1, 2, 5];
const ROUTERS = [1, 2, 4, 8, 16, 32];
const HALF_LIVES_S = [1, 3, 10, 30];

/** In the order of the tables; in plots each keeps its colour. */
const ORDER = [
  'oracle',
  'least-outstanding',
  'peak-ewma',
  'two-choices',
  'adaptive',
  'weighted',
  'round-robin',
  'random',
  'strict-minimum',
];
const COLOURS: Readonly<Record<string, number>> = {
  oracle: 6,
  'least-outstanding': 0,
  'peak-ewma': 2,
  'two-choices': 3,
  adaptive: 1,
  'round-robin': 5,
  'strict-minimum': 4,
};
const PLOTTED = ORDER.filter((name) => name in COLOURS);

/** What fits below a bar. */
const SHORT_NAMES: Readonly<Record<string, string>> = {
  equal: 'equal',
  oneRouter: 'one\nrouter',
  unequal: 'unequal',
  unknown: 'unequal,\nunknown',
  slowNode: 'one\nslow node',
  dayAndNight: 'day and\nnight',
  flashCrowd: 'flash\ncrowd',
};

const MEANINGS: Readonly<Record<keyof typeof LOAD_DEFAULTS, string>> = {
  sampleIntervalMs: 'how often a node samples itself and tells the others',
  staleAfterMs: 'age from which a record says nothing: the node counts as unknown',
  maxNodes: 'nodes whose records are kept',
  riseHalfLifeMs: 'smoothed CPU and memory, upwards',
  fallHalfLifeMs: 'the same, downwards',
  sustainedHalfLifeMs: 'what overload is judged by',
  othersHalfLifeMs: 'what is taken for the requests of other routers',
  overloadedCpu: 'sustained CPU from which a node is overloaded',
  overloadedMemory: 'the same for memory',
  assumedUsagePerRequest: 'what a request adds at least to the usage that was reported',
  unknownWeight: 'weight, in a draw, of a node of which nothing is known',
  latencyHalfLifeMs: 'after it a latency peak counts half',
  failureLatencyMs: 'what a failed request counts as, at least',
  inFlightLimit: 'requests that leave no room, for the in-flight selector',
  queueLimit: 'waiting requests that leave no room, for the queue selector',
};

type Figures = Readonly<Record<'p50Ms' | 'p99Ms' | 'maxInFlight' | 'hotShare', number>>;

function measure(scenario: Scenario, policy: Policy): Figures {
  const outcomes = Array.from({ length: SEEDS }, (_, index) =>
    simulate(scenario, policy, index + 1),
  );
  const of = (figure: keyof Outcome) => median(outcomes.map((outcome) => outcome[figure]));
  return {
    p50Ms: of('p50Ms'),
    p99Ms: of('p99Ms'),
    maxInFlight: of('maxInFlight'),
    hotShare: of('hotShare'),
  };
}

/** Figures of `names` in one scenario. */
function measureAll(scenario: Scenario, names: readonly string[]): Map<string, Figures> {
  process.stderr.write(`${scenario.name}\n`);
  return new Map(names.map((name) => [name, measure(scenario, POLICIES[name] as Policy)]));
}

const p99 = (figures: Map<string, Figures>, name: string) => (figures.get(name) as Figures).p99Ms;
const overOracle = (figures: Map<string, Figures>, name: string) =>
  p99(figures, name) / p99(figures, 'oracle');
const times = (ratio: number) => ratio.toFixed(ratio < 9.95 ? 2 : 1);
const whole = (value: number) => Math.round(value).toLocaleString('en');

function table(head: readonly string[], body: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...body.map(line)].join('\n');
}

interface Measured {
  readonly scenario: Scenario;
  readonly figures: Map<string, Figures>;
}

function overview(measured: readonly Measured[]): string {
  return table(
    ['p99 over the oracle’s', ...measured.map(({ scenario }) => scenario.name)],
    ORDER.map((name) => [name, ...measured.map(({ figures }) => times(overOracle(figures, name)))]),
  );
}

function details({ scenario, figures }: Measured): string {
  const head = [scenario.name, 'p50 ms', 'p99 ms', '× oracle', 'most in flight', 'hot share'];
  const body = ORDER.map((name) => {
    const { p50Ms, p99Ms, maxInFlight, hotShare } = figures.get(name) as Figures;
    const ratio = times(overOracle(figures, name));
    return [name, whole(p50Ms), whole(p99Ms), ratio, whole(maxInFlight), times(hotShare)];
  });
  return table(head, body);
}

/** What single rules are worth: the same fleet with one of them changed. */
function lessons(scenario: Scenario, figures: Map<string, Figures>): string {
  const body = VARIANTS.map(({ rule, of, policy, view }) => {
    const changed = measure({ ...scenario, view: { ...scenario.view, ...view } }, policy);
    const before = p99(figures, of);
    const ratio = changed.p99Ms / before;
    return [rule, of, whole(before), whole(changed.p99Ms), times(ratio)];
  });
  return table(['changed', 'of', 'p99 ms before', 'p99 ms after', 'ratio'], body);
}

/** p99 of least-outstanding by how long it remembers the requests of others. */
function memory(): string {
  const all = scenarios(SWEEP_DURATION_MS);
  const [equal] = all as [Scenario, ...Scenario[]];
  const cases: readonly Scenario[] = [
    ...all,
    ...[8, 16, 32].map((count) => ({ ...equal, routers: count, name: `${count} routers` })),
    ...[2, 5].map((seconds) => ({
      ...equal,
      sampleIntervalMs: seconds * 1_000,
      name: `samples every ${seconds} s`,
    })),
  ];
  const body = cases.map((scenario) => {
    process.stderr.write(`${scenario.name}, half-lives\n`);
    const cells = HALF_LIVES_S.map((seconds) => {
      const view = { ...scenario.view, othersHalfLifeMs: seconds * 1_000 };
      const policy = POLICIES['least-outstanding'] as Policy;
      return whole(measure({ ...scenario, view }, policy).p99Ms);
    });
    return [scenario.name, ...cells];
  });
  return table(['p99 ms', ...HALF_LIVES_S.map((seconds) => `${seconds} s`)], body);
}

function constants(): string {
  const names = Object.keys(LOAD_DEFAULTS) as (keyof typeof LOAD_DEFAULTS)[];
  return table(
    ['option', 'default', 'what it decides'],
    names.map((name) => [`\`${name}\``, LOAD_DEFAULTS[name].toLocaleString('en'), MEANINGS[name]]),
  );
}

function write(tables: Readonly<Record<string, string>>): void {
  const file = path.join(DOCS, 'balancing.md');
  let text = readFileSync(file, 'utf8');
  for (const [name, body] of Object.entries(tables)) {
    const place = new RegExp(`(<!-- ${name} -->\n).*?(<!-- end -->)`, 's');
    if (!place.test(text)) throw new Error(`docs/balancing.md has no place for "${name}"`);
    text = text.replace(place, (_, open, close) => `${open}\n${body}\n\n${close}`);
  }
  writeFileSync(file, text);
}

/** p99 of the plotted policies while one thing varies. */
function sweep(values: readonly number[], change: (value: number) => Partial<Scenario>): Series[] {
  const [base] = scenarios(SWEEP_DURATION_MS) as [Scenario];
  const runs = values.map((value) => ({
    value,
    figures: measureAll({ ...base, ...change(value), name: `sweep ${value}` }, PLOTTED),
  }));
  return PLOTTED.map((name) => ({
    name,
    colour: COLOURS[name] as number,
    dashed: name === 'oracle' || name === 'round-robin',
    points: runs.map(({ value, figures }) => [value, p99(figures, name)] as const),
  }));
}

function barsOf(measured: readonly Measured[]): BarChart {
  return {
    title: 'p99 under each policy',
    subtitle: '20 nodes, 4 routers unless said otherwise, load 1 s old; median of 5 seeds',
    categories: measured.map(({ scenario }) => SHORT_NAMES[scenario.id] ?? scenario.id),
    y: { name: 'milliseconds', logarithmic: true, min: 300 },
    labels: false,
    series: PLOTTED.map((name) => ({
      name,
      colour: COLOURS[name] as number,
      points: measured.map(({ figures }, index) => [index, p99(figures, name)] as const),
    })),
  };
}

function linesOf(title: string, x: Chart['x'], series: readonly Series[]): Chart {
  const subtitle = '20 equal nodes at 80 %; median of 5 seeds';
  const y = { name: 'p99, milliseconds', logarithmic: true, min: 300 };
  return { title, subtitle, x, y, series };
}

const save = (name: string, svg: string) =>
  writeFileSync(path.join(DOCS, 'img', `balancing-${name}.svg`), svg);

const measured = scenarios(DURATION_MS).map((scenario) => ({
  scenario,
  figures: measureAll(scenario, ORDER),
}));
const [equal] = measured as [Measured, ...Measured[]];
write({
  constants: constants(),
  overview: overview(measured),
  lessons: lessons(equal.scenario, equal.figures),
  memory: memory(),
  details: measured.map(details).join('\n\n'),
});
mkdirSync(path.join(DOCS, 'img'), { recursive: true });
save('policies', await barChart(barsOf(measured)));
const staleness = sweep(STALENESS_S, (seconds) => ({ sampleIntervalMs: seconds * 1_000 }));
const stalenessAxis = { name: 'seconds between samples', logarithmic: true, min: 0.1, max: 6 };
save('staleness', await lineChart(linesOf('How old load may be', stalenessAxis, staleness)));
const routers = sweep(ROUTERS, (count) => ({ routers: count }));
const routersAxis = { name: 'routers', logarithmic: true, min: 1, max: 40 };
save('routers', await lineChart(linesOf('How many routers', routersAxis, routers)));
