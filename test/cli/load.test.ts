// The load of a fleet on a terminal: its columns, and that the terminal is given back.
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { test } from 'node:test';
import { loadSummary, loadTable, runTop, Terminal } from '../../src/cli/index.ts';
import { hasCode, systemClock } from '../../src/core/index.ts';
import { fakeCoordinator, withGateway } from '../gateway/fakes.ts';
import { flotilla } from './run-cli.ts';
import type { LoadReport, LoadView, NodeLoadReport } from '../../src/gateway/index.ts';
import type { NodeLoad } from '../../src/load/index.ts';

const ESCAPE = '\u001b';
const MIB = 2 ** 20;
const plain = (_style: string, text: string) => text;

function record(node: string, overrides: Partial<NodeLoad> = {}): NodeLoad {
  return {
    ...{ node, incarnation: 1, timestampMs: 1_000, cpu: 0.25 },
    ...{ memoryUsed: 512 * MIB, memoryMax: 2_048 * MIB, heapUsed: 40 * MIB, heapMax: 400 * MIB },
    ...{ eventLoopDelayMs: 1.23, eventLoopUtilization: 0.1, inFlight: 4, queued: 0 },
    ...overrides,
  };
}

function known(name: string, load: Partial<NodeLoad> = {}): NodeLoadReport {
  return {
    ...{ name, status: 'up', healthy: true, ageMs: 400, overloaded: false, outstanding: 4 },
    ...{ load: record(name, load), cpu: 0.3, memory: 0.25 },
    lanes: { depth: 1, bytesSent: 3 * MIB, bytesReceived: MIB, drops: 0, creditWaits: 0 },
  };
}

function unknown(name: string): NodeLoadReport {
  const nothing = { ageMs: null, load: null, cpu: null, memory: null, outstanding: 0 };
  return { ...known(name), ...nothing, status: 'dead', healthy: false };
}

function reportOf(nodes: readonly NodeLoadReport[], at = 10_000): LoadReport {
  const counters = { stored: 0, older: 0, removed: 0, full: 0, expired: 0, refused: 0 };
  return { at, self: 'node-0', nodes, counters };
}

const PLAIN_FLEET = reportOf([
  unknown('node-10'),
  { ...known('node-2', { cpu: 0.99, queued: 12 }), overloaded: true },
  known('node-0'),
]);

const ENGINES = reportOf([
  known('node-0'),
  known('node-1', {
    engine: { running: 3, waiting: 1, kvCacheUsage: 0.42 },
    gpus: [
      { utilization: 0.5, memoryUsed: 10, memoryMax: 20 },
      { utilization: 1, memoryUsed: 15, memoryMax: 20 },
    ],
  }),
]);

test('rows are sorted by name; the unknown is a dash, an overloaded node is named so', () => {
  const lines = loadTable(PLAIN_FLEET, { style: plain });
  assert.equal(new Set(lines.map((line) => line.length)).size, 1, 'columns are aligned');
  assert.deepEqual(
    lines.map((line) => line.trim().split(/ {2,}/)),
    [
      'node,status,cpu,memory,heap,loop,in flight,queued,lanes,depth,drops,age',
      'node-0,up,25 %,25 %,40.0 MiB,1.2 ms,4,0,-,-,-,0.4 s',
      'node-2,overloaded,99 %,25 %,40.0 MiB,1.2 ms,4,12,4.0 MiB,1,0,0.4 s',
      'node-10,dead,-,-,-,-,-,-,4.0 MiB,1,0,-',
    ].map((line) => line.split(',')),
  );
  const summary = '3 nodes, 2 healthy, 1 overloaded, cpu 62 %, 8 in flight, 12 queued';
  assert.equal(loadSummary(PLAIN_FLEET), summary);
  assert.equal(loadSummary(PLAIN_FLEET, 50), '3 nodes, 2 healthy, 1 overloaded, cpu 62 %');
});

test('of an overloaded node only what overloads it is marked', () => {
  const mark = (style: string, text: string) => (style === 'bad' ? `!${text.trim()}!` : text);
  const rows = loadTable(PLAIN_FLEET, { style: mark });
  assert.match(rows[2] ?? '', /!overloaded! .*!99 %! +25 % /);
});

test('engine and GPU columns are there when any node has figures', () => {
  const [heading, without, engine] = loadTable(ENGINES, { style: plain });
  assert.match(heading ?? '', /queued {2}running {2}waiting {2}kv cache +gpu {2}gpu memory/);
  assert.match(without ?? '', /0 {8}- {8}- {9}- {5}- {11}- /);
  assert.match(engine ?? '', / 3 +1 +42 % +75 % +75 % /);
  const machine = reportOf([known('node-0', { memoryMax: 0, memoryUsed: 3 * MIB })]);
  const [titles, row] = loadTable(machine, { style: plain });
  assert.doesNotMatch(titles ?? '', /running|waiting|kv|gpu/);
  assert.match(row ?? '', /^node-0 {2}up +25 % {2}3\.0 MiB /);
});

test('after a second snapshot lanes show bytes a second, and a new link none', () => {
  const earlier = known('node-1');
  const later = { ...earlier, lanes: { ...earlier.lanes, bytesSent: 7 * MIB } };
  const previous = reportOf([earlier, known('node-3')], 10_000);
  const again = { ...known('node-3'), lanes: { ...earlier.lanes, bytesSent: 0 } };
  const report = reportOf([later, known('node-2'), again], 12_000);
  const lines = loadTable(report, { previous, style: plain });
  const cells = lines.map((line) => line.split(/ {2,}/)[8]);
  assert.deepEqual(cells, ['lanes', '2.0 MiB/s', '-', '-']);
});

test('a line is never wider than the terminal, and columns give way in one order', () => {
  for (const report of [PLAIN_FLEET, ENGINES, reportOf([])]) {
    let before: string[] = [];
    for (let columns = 1; columns <= 180; columns++) {
      const lines = loadTable(report, { columns, style: plain });
      for (const line of lines) {
        assert.ok(line.length <= columns, `${line.length} of ${columns} columns: ${line}`);
      }
      if (columns < 30) continue;
      const titles = (lines[0] ?? '').split(/ {2,}/);
      assert.deepEqual(
        before.filter((title) => !titles.includes(title)),
        [],
        `${columns} columns`,
      );
      before = titles;
    }
  }
  const [, wide] = loadTable(ENGINES, { columns: 180, style: plain });
  assert.match(wide ?? '', /━━────── {2}25 % {2}━━────── {2}25 % /);
});

test('what does not fit the height is counted, not lost', () => {
  const nodes = Array.from({ length: 30 }, (_, index) => known(`node-${index}`));
  for (let rows = 1; rows <= 40; rows++) {
    const lines = loadTable(reportOf(nodes), { rows, style: plain });
    assert.ok(lines.length <= rows, `${lines.length} lines in ${rows} rows`);
    if (rows > 2 && rows < 31) assert.equal(lines.at(-1), `and ${32 - rows} nodes more`);
  }
});

const VIEW: LoadView = {
  counters: reportOf([]).counters,
  of: (node) => ({ record: record(node), ageMs: 400, overloaded: false, outstanding: 4 }),
};
const LOADED = { coordinator: { ...fakeCoordinator, load: VIEW } };

test('load prints a table or JSON; top without a terminal prints one snapshot', async () => {
  await withGateway(LOADED, async ({ url }) => {
    const env = { FLOTILLA_URL: url };
    const [table, json, top, once] = await Promise.all([
      flotilla(['load'], { env }),
      flotilla(['load', '--json'], { env }),
      flotilla(['top'], { env }),
      flotilla(['top', '--once'], { env }),
    ]);
    assert.match(
      table.stdout,
      /^node +status .*\nnode-0 .* 25 % .*\nnode-1 .*\n\n2 nodes, 1 healthy/,
    );
    assert.ok(!table.stdout.includes(ESCAPE));
    assert.equal(JSON.parse(json.stdout).nodes[1].load.inFlight, 4);
    assert.deepEqual([top.stdout, top.code], [table.stdout, 0]);
    assert.deepEqual([once.stdout, once.code], [table.stdout, 0]);
  });
});

/** A terminal and its keyboard, and a clock whose seconds pass when the test says so. */
class FakeTerminal extends EventEmitter {
  readonly isTTY = true;
  columns = 100;
  rows = 12;
  readonly written: string[] = [];
  readonly raw: boolean[] = [];
  readonly keyboard = Object.assign(new EventEmitter(), {
    isTTY: true,
    setRawMode: (raw: boolean) => this.raw.push(raw),
    pause() {},
  });
  tick = () => {};
  readonly clock = {
    ...systemClock,
    now: () => this.nowMs,
    repeat: (_: number, callback: () => void) => {
      this.tick = callback;
      return { cancel() {} };
    },
  };
  nowMs = 0;

  write(text: string): void {
    this.written.push(text);
    this.emit('written');
  }

  get last(): string {
    return this.written.at(-1) ?? '';
  }
}

function start(terminal: FakeTerminal, url: string, env: Record<string, string> = {}) {
  const out = new Terminal(terminal, env);
  const context = { out, err: out, env, clock: terminal.clock, entry: '' };
  return runTop(context, { url }, terminal.keyboard);
}

test('top draws each answer in one write, and again when the terminal is resized', async () => {
  await withGateway(LOADED, async ({ url }) => {
    const terminal = new FakeTerminal();
    const ended = start(terminal, url, { NO_COLOR: '1' });
    while (terminal.written.length < 2) await once(terminal, 'written');
    assert.equal(terminal.written[0], `${ESCAPE}[?1049h${ESCAPE}[?25l`);
    assert.match(terminal.last, /node-0 {2}2 nodes, 1 healthy, cpu 25 %/);
    assert.ok(!terminal.last.includes(`${ESCAPE}[1m`), 'no colours');
    terminal.tick();
    await once(terminal, 'written');
    assert.equal(terminal.written.length, 3);
    terminal.columns = 40;
    terminal.emit('resize');
    assert.doesNotMatch(terminal.last, /memory/);
    terminal.keyboard.emit('data', Buffer.from('xq'));
    await ended;
    assert.equal(terminal.last, `${ESCAPE}[?25h${ESCAPE}[?1049l`);
    assert.deepEqual(terminal.raw, [true, false]);
    assert.equal(terminal.listenerCount('resize') + terminal.keyboard.listenerCount('data'), 0);
  });
});

test('top outlives its node: the last picture stays and says how old it is', async () => {
  const terminal = new FakeTerminal();
  let ended: Promise<void> | undefined;
  await withGateway(LOADED, async ({ url }) => {
    ended = start(terminal, url);
    while (terminal.written.length < 2) await once(terminal, 'written');
  });
  terminal.nowMs = 5_000;
  terminal.tick();
  await once(terminal, 'written');
  assert.match(terminal.last, /node-0 .*5 s old: no fleet answers at http/s);
  terminal.keyboard.emit('data', Buffer.from('\u0003'));
  await ended;
  assert.equal(terminal.last, `${ESCAPE}[?25h${ESCAPE}[?1049l`);
});

test('top of a fleet that is not there fails before it takes the terminal', async () => {
  const terminal = new FakeTerminal();
  const refused = start(terminal, 'http://127.0.0.1:1');
  await assert.rejects(refused, (error) => hasCode(error, 'fleet_unreachable'));
  assert.deepEqual(terminal.written, []);
});
