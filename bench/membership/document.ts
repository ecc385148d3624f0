// Writes the tables of docs/membership.md and its plots from `figures.json`: `node
// bench/membership/document.ts`. Tables stand between `<!-- NAME -->` and `<!-- end -->`; the
// words around them are written by hand.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { MEMBERSHIP_PRESETS } from '../../src/cluster/index.ts';
import { lineChart } from '../plot.ts';
import { readFigures } from './figures.ts';
import { HEARTBEAT_BYTES } from './heartbeats.ts';
import { SCENARIOS } from './schedule.ts';
import type { MembershipOptions } from '../../src/cluster/index.ts';
import type { Chart, Series } from '../plot.ts';
import type { Figures, Row } from './figures.ts';
import type { Scenario } from './schedule.ts';

const DOCS = path.join(import.meta.dirname, '../../docs');

/** Detectors as the tables call them, in the order of their columns. */
const TITLES: Readonly<Record<string, string>> = {
  'swim-local': 'SWIM `local`',
  'swim-lan': 'SWIM `lan`',
  heartbeat: 'heartbeats, 5 s',
  phi: 'φ-accrual, 8',
};
const DETECTORS = Object.keys(TITLES);

const figures = readFigures() as Required<Figures>;
const seconds = (ms: number) => (ms / 1000).toFixed(ms < 1000 ? 2 : 1);
const titleOf = (detector: string) => (TITLES[detector] ?? detector).replaceAll('`', '');

function table(head: readonly string[], body: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...body.map(line)].join('\n');
}

/** Scenario and size by row, detectors by column. */
function compare(rows: readonly Row[], cell: (row: Row) => string): string {
  const keys = [...new Set(rows.map(({ scenario, nodes }) => `${scenario}/${nodes}`))];
  const body = keys.map((key) => {
    const [scenario, nodes] = key.split('/');
    const cells = DETECTORS.map((detector) => {
      const row = rows.find(
        (one) => `${one.scenario}/${one.nodes}` === key && one.detector === detector,
      );
      return row === undefined ? '–' : cell(row);
    });
    return [SCENARIOS[scenario as Scenario], nodes ?? '', ...cells];
  });
  body.sort((a, b) => scenarioOrder(a[0]) - scenarioOrder(b[0]) || Number(a[1]) - Number(b[1]));
  return table(['scenario', 'members', ...DETECTORS.map((name) => TITLES[name] as string)], body);
}

const scenarioOrder = (title: string | undefined) =>
  Object.values<string>(SCENARIOS).indexOf(title ?? '');

function presets(): string {
  const names = Object.keys(MEMBERSHIP_PRESETS) as (keyof typeof MEMBERSHIP_PRESETS)[];
  const options = Object.keys(MEMBERSHIP_PRESETS.lan) as (keyof MembershipOptions)[];
  const shown = options.filter((option) => !option.startsWith('max') || option === 'maxAwareness');
  return table(
    ['option', ...names.map((name) => `\`${name}\``)],
    shown.map((option) => [
      `\`${option}\``,
      ...names.map((name) => MEMBERSHIP_PRESETS[name][option].toLocaleString('en')),
    ]),
  );
}

const heartbeatCost = (nodes: number) => ({
  messagesPerNodeSecond: nodes - 1,
  bytesPerNodeSecond: (nodes - 1) * HEARTBEAT_BYTES,
});

function convergenceTable(): string {
  const cost = ({ messagesPerNodeSecond, bytesPerNodeSecond }: ReturnType<typeof heartbeatCost>) =>
    `${messagesPerNodeSecond.toFixed(0)}, ${(bytesPerNodeSecond / 1024).toFixed(1)} KiB`;
  const head = ['members', 'join, all agree (p50 / worst)', 'partition healed (p50 / worst)'];
  return table(
    [...head, 'sent by a node a second, idle', '10 s after a crash', 'all-to-all heartbeats'],
    figures.convergence.map(({ nodes, join, heal, idle, crash }) => [
      String(nodes),
      `${seconds(join.p50)} / ${seconds(join.worst)} s`,
      `${seconds(heal.p50)} / ${seconds(heal.worst)} s`,
      cost(idle),
      cost(crash),
      cost(heartbeatCost(nodes)),
    ]),
  );
}

function write(): void {
  const file = path.join(DOCS, 'membership.md');
  const tables: Readonly<Record<string, string>> = {
    presets: presets(),
    crash: compare(
      figures.crash,
      ({ first, all }) => `${seconds(first.p50)} / ${seconds(all.p50)} / **${seconds(all.p99)}**`,
    ),
    harmless: compare(figures.harmless, ({ falsePositives, falselyDead }) =>
      falsePositives === 0 ? '0' : `**${falsePositives}** (${falselyDead})`,
    ),
    convergence: convergenceTable(),
  };
  let text = readFileSync(file, 'utf8');
  for (const [name, body] of Object.entries(tables)) {
    const place = new RegExp(`(<!-- ${name} -->\n).*?(<!-- end -->)`, 's');
    if (!place.test(text)) throw new Error(`docs/membership.md has no place for "${name}"`);
    text = text.replace(place, (_, open, close) => `${open}\n${body}\n\n${close}`);
  }
  writeFileSync(file, text);
}

async function plot(name: string, chart: Chart): Promise<void> {
  mkdirSync(path.join(DOCS, 'img'), { recursive: true });
  writeFileSync(path.join(DOCS, 'img', `membership-${name}.svg`), await lineChart(chart));
}

function detectionSeries(): Series[] {
  return DETECTORS.map((detector) => ({
    name: titleOf(detector),
    points: figures.crash
      .filter((row) => row.detector === detector && row.scenario === 'crash')
      .map(({ nodes, all }) => [nodes, all.p99 / 1000] as const),
    dashed: !detector.startsWith('swim'),
  }));
}

function tradeOffSeries(): Series[] {
  return DETECTORS.filter((detector) => detector !== 'swim-local').map((detector) => ({
    name: titleOf(detector).replace(/,.*/, ''),
    colour: DETECTORS.indexOf(detector),
    dashed: !detector.startsWith('swim'),
    points: figures['trade-offs']
      .filter((one) => one.detector === detector)
      .map(({ allP99Ms, falsePositives }) => [allP99Ms / 1000, falsePositives + 1] as const),
  }));
}

const members = { name: 'members', logarithmic: true, min: 3, max: 1000 };
const sizes = figures.convergence.map(({ nodes }) => nodes);
write();
await plot('detection', {
  title: 'Crash seen by all survivors',
  subtitle: '99th percentile, no loss; goals: 3 s at 10 members on local, 8 s at 100 on lan',
  x: members,
  y: { name: 'seconds', min: 0 },
  series: detectionSeries(),
});
await plot('trade-off', {
  title: 'Sooner or surer',
  subtitle: '100 members, one timeout varied; 30 times a tenth stalls for 2 s, with 5 % loss',
  x: { name: 'seconds until a crash is seen by all, p99', min: 0 },
  y: { name: 'false alarms, plus 1', logarithmic: true, min: 1 },
  series: tradeOffSeries(),
});
await plot('cost', {
  title: 'What a node sends',
  subtitle: 'preset lan; frames and bodies, without TLS and TCP',
  x: { ...members, min: 10 },
  y: { name: 'messages a second', logarithmic: true },
  series: [
    {
      name: 'SWIM, idle',
      points: figures.convergence.map((one) => [one.nodes, one.idle.messagesPerNodeSecond]),
    },
    {
      name: 'SWIM, around a crash',
      points: figures.convergence.map((one) => [one.nodes, one.crash.messagesPerNodeSecond]),
    },
    {
      name: 'all-to-all heartbeats',
      dashed: true,
      points: sizes.map((nodes) => [nodes, heartbeatCost(nodes).messagesPerNodeSecond]),
    },
  ],
});
await plot('convergence', {
  title: 'Until all views agree',
  subtitle: 'preset lan, median; the partition cut the fleet in halves for 30 s',
  x: { ...members, min: 10 },
  y: { name: 'seconds', logarithmic: true },
  series: [
    {
      name: 'after a join',
      points: figures.convergence.map(({ nodes, join }) => [nodes, join.p50 / 1000]),
    },
    {
      name: 'after a partition heals',
      points: figures.convergence.map(({ nodes, heal }) => [nodes, heal.p50 / 1000]),
    },
  ],
});
