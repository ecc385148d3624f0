// How the load of a fleet looks as a table: which columns there are, which of them give way on a
// narrow terminal, what a cell says. Pure: when it is drawn, and on what, is for `command-top.ts`.
import { TOP } from './defaults.ts';
import { formatBytes, formatRate, plural } from './text.ts';
import { LOAD_DEFAULTS, usageOf } from '../load/index.ts';
import type { LaneSummary, LoadReport, NodeLoadReport } from '../gateway/index.ts';
import type { NodeLoad } from '../load/index.ts';
import type { Style } from './terminal.ts';

export interface LoadTableOptions {
  /** Widest line. Without it every column is shown, and no bars. */
  readonly columns?: number;
  /** Most lines. */
  readonly rows?: number;
  /** The snapshot before: traffic is then a rate, without it a sum since the start. */
  readonly previous?: LoadReport;
  readonly style: (style: Style, text: string) => string;
}

type Piece = readonly [text: string, style?: Style | undefined];
type Cell = readonly Piece[];

interface Column {
  readonly id: string;
  readonly title: string;
  readonly left?: boolean;
  readonly cell: (node: NodeLoadReport, context: Context) => Cell;
  /** Whether any node has something to show in it. */
  readonly wanted?: (node: NodeLoadReport) => boolean;
}

interface Context extends LoadTableOptions {
  readonly report: LoadReport;
  /** Columns of a bar; 0 for none. */
  readonly bar: number;
}

/**
 * What a narrow terminal goes without, the first one first; name, CPU and requests in flight stay
 * to the last. `flotilla top --help` says it too.
 */
const GIVES_WAY = [
  ...['drops', 'depth', 'lanes', 'heap', 'gpu-memory', 'gpu', 'age', 'bars', 'kv', 'waiting'],
  ...['running', 'loop', 'memory', 'queued', 'status'],
];

const MISSING: Cell = [['-', 'dim']];

const COLUMNS: readonly Column[] = [
  { id: 'name', title: 'node', left: true, cell: ({ name }) => [[shorten(name), 'bold']] },
  { id: 'status', title: 'status', left: true, cell: statusCell },
  measured('cpu', 'cpu', ({ cpu }, context) => barCell(cpu, LOAD_DEFAULTS.overloadedCpu, context)),
  measured('memory', 'memory', ({ memoryUsed, memoryMax }, context) =>
    memoryMax === 0
      ? [[formatBytes(memoryUsed)]]
      : barCell(usageOf(memoryUsed, memoryMax), LOAD_DEFAULTS.overloadedMemory, context),
  ),
  measured('heap', 'heap', ({ heapUsed }) => [[formatBytes(heapUsed)]]),
  measured('loop', 'loop', ({ eventLoopDelayMs }) => [[`${eventLoopDelayMs.toFixed(1)} ms`]]),
  measured('inFlight', 'in flight', ({ inFlight }) => [[String(inFlight)]]),
  measured('queued', 'queued', ({ queued }) => [[String(queued)]]),
  optional('running', 'running', ({ engine }) => count(engine?.running)),
  optional('waiting', 'waiting', ({ engine }) => count(engine?.waiting)),
  optional('kv', 'kv cache', ({ engine }) => share(engine?.kvCacheUsage)),
  optional('gpu', 'gpu', ({ gpus = [] }) => share(mean(gpus.map((gpu) => gpu.utilization)))),
  optional('gpu-memory', 'gpu memory', ({ gpus = [] }) =>
    share(fullest(gpus.map((gpu) => usageOf(gpu.memoryUsed, gpu.memoryMax)))),
  ),
  { id: 'lanes', title: 'lanes', cell: lanesCell },
  { id: 'depth', title: 'depth', cell: ofLanes(({ depth }) => [[String(depth)]]) },
  {
    id: 'drops',
    title: 'drops',
    cell: ofLanes(({ drops }) => [[formatRate(drops), drops > 0 ? 'bad' : undefined]]),
  },
  { id: 'age', title: 'age', cell: ageCell },
];

/** The heading, and a line per node in the order of their names. */
export function loadTable(report: LoadReport, options: LoadTableOptions): string[] {
  const collator = new Intl.Collator('en', { numeric: true });
  const nodes = report.nodes.toSorted((a, b) => collator.compare(a.name, b.name));
  const rows = Math.max(1, options.rows ?? Number.POSITIVE_INFINITY);
  const shown = nodes.length + 1 > rows ? nodes.slice(0, Math.max(0, rows - 2)) : nodes;
  const lines = fit(shown, { ...options, report });
  const hidden = nodes.length - shown.length;
  if (hidden > 0) lines.push(options.style('dim', `and ${plural(hidden, 'node')} more`));
  return lines.slice(0, rows);
}

/** The fleet in one line of at most `room` columns: what comes last is left out first. */
export function loadSummary({ nodes }: LoadReport, room = Number.POSITIVE_INFINITY): string {
  const loads = nodes.flatMap(({ load }) => load ?? []);
  const sum = (of: (load: NodeLoad) => number) =>
    loads.reduce((total, load) => total + of(load), 0);
  const overloaded = nodes.filter((node) => node.overloaded).length;
  const cpu = loads.length === 0 ? '-' : percent(sum((load) => load.cpu) / loads.length);
  const parts = [
    plural(nodes.length, 'node'),
    `${nodes.filter(({ healthy }) => healthy).length} healthy`,
    ...(overloaded > 0 ? [`${overloaded} overloaded`] : []),
    `cpu ${cpu}`,
    `${sum((load) => load.inFlight)} in flight`,
    `${sum((load) => load.queued)} queued`,
  ];
  while (parts.length > 1 && parts.join(', ').length > room) parts.pop();
  return parts.join(', ');
}

/** Leaves out what must give way until a line fits. */
function fit(nodes: readonly NodeLoadReport[], options: Omit<Context, 'bar'>): string[] {
  const { columns: room = Number.POSITIVE_INFINITY, style } = options;
  const wanted = COLUMNS.filter((column) => nodes.some((node) => column.wanted?.(node) ?? true));
  const gone = new Set<string>(room === Number.POSITIVE_INFINITY ? ['bars'] : []);
  for (const next of [...GIVES_WAY, undefined]) {
    const kept = wanted.filter(({ id }) => !gone.has(id));
    const context = { ...options, bar: gone.has('bars') ? 0 : TOP.barColumns };
    const cells = nodes.map((node) => kept.map((column) => column.cell(node, context)));
    const widths = kept.map(({ title }, at) =>
      Math.max(title.length, ...cells.map((row) => widthOf(row[at] ?? []))),
    );
    const total = widths.reduce((sum, width) => sum + width + GAP.length, -GAP.length);
    if (total <= room || next === undefined) {
      const heading = kept.map(({ title }): Cell => [[title, 'bold']]);
      return [heading, ...cells].map((row) =>
        paint(cut(layOut(row, kept, widths), room), style).trimEnd(),
      );
    }
    gone.add(next);
  }
  return [];
}

const GAP = '  ';

function layOut(row: readonly Cell[], columns: readonly Column[], widths: readonly number[]): Cell {
  return row.flatMap((cell, at) => {
    const padding: Piece = [' '.repeat((widths[at] ?? 0) - widthOf(cell))];
    const padded = columns[at]?.left ? [...cell, padding] : [padding, ...cell];
    return at === 0 ? padded : [[GAP] as const, ...padded];
  });
}

function cut(pieces: Cell, room: number): Cell {
  let left = room;
  return pieces.map(([text, style]): Piece => {
    const kept = text.slice(0, left);
    left -= kept.length;
    return [kept, style];
  });
}

function paint(pieces: Cell, style: LoadTableOptions['style']): string {
  const painted = ([text, how]: Piece) =>
    how === undefined || text === '' ? text : style(how, text);
  return pieces.map(painted).join('');
}

const widthOf = (cell: Cell) => cell.reduce((width, [text]) => width + text.length, 0);

function shorten(name: string): string {
  const most = TOP.maxNameColumns;
  return name.length <= most ? name : `${name.slice(0, most - 1)}…`;
}

/** A column of every node that has a record. */
function measured(
  id: string,
  title: string,
  cell: (load: NodeLoad, context: Context & { readonly overloaded: boolean }) => Cell,
): Column {
  return {
    id,
    title,
    cell: ({ load, overloaded }, context) =>
      load === null ? MISSING : cell(load, { ...context, overloaded }),
  };
}

/** A column that is there when any node has the figure. */
function optional(id: string, title: string, cell: (load: NodeLoad) => Cell | undefined): Column {
  const cellOf = ({ load }: NodeLoadReport) => (load === null ? undefined : cell(load));
  return {
    id,
    title,
    cell: (node) => cellOf(node) ?? MISSING,
    wanted: (node) => cellOf(node) !== undefined,
  };
}

function statusCell({ status, healthy, overloaded }: NodeLoadReport): Cell {
  if (status !== 'up') return [[status ?? 'unknown', 'bad']];
  if (!healthy) return [['unhealthy', 'bad']];
  return overloaded ? [['overloaded', 'bad']] : [[status, 'good']];
}

/** @param limit from which it is what overloads a node that is overloaded */
function barCell(
  value: number,
  limit: number,
  { bar, overloaded }: { readonly bar: number; readonly overloaded: boolean },
): Cell {
  const isCause = overloaded && value >= limit;
  const shown = percent(value).padStart(5);
  const text: Piece = isCause ? [shown, 'bad'] : [shown];
  if (bar === 0) return [text];
  const full = Math.round(Math.min(1, value) * bar);
  const style = isCause ? 'bad' : 'accent';
  return [['━'.repeat(full), style], ['─'.repeat(bar - full), 'dim'], [' '], text];
}

function lanesCell(node: NodeLoadReport, { previous, report }: Context): Cell {
  const { name, lanes } = node;
  if (name === report.self) return MISSING;
  const total = lanes.bytesSent + lanes.bytesReceived;
  if (previous === undefined) return [[formatBytes(total)]];
  const before = previous.nodes.find((other) => other.name === name)?.lanes;
  const moved = total - (before ? before.bytesSent + before.bytesReceived : Number.NaN);
  const seconds = (report.at - previous.at) / 1000;
  // A link that is new, or that was made again, has no rate yet.
  return moved >= 0 && seconds > 0 ? [[`${formatBytes(moved / seconds)}/s`]] : MISSING;
}

/** A node has no lanes to itself. */
function ofLanes(cell: (lanes: LaneSummary) => Cell): Column['cell'] {
  return ({ name, lanes }, { report }) => (name === report.self ? MISSING : cell(lanes));
}

function ageCell({ ageMs }: NodeLoadReport): Cell {
  if (ageMs === null) return MISSING;
  const text = `${(ageMs / 1000).toFixed(1)} s`;
  return [ageMs > TOP.oldAfterMs ? [text, 'bad'] : [text]];
}

function count(value: number | undefined): Cell | undefined {
  return value === undefined ? undefined : [[formatRate(value)]];
}

function share(value: number | undefined): Cell | undefined {
  return value === undefined ? undefined : [[percent(value)]];
}

const percent = (value: number) => `${Math.round(value * 100)} %`;

function mean(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function fullest(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : Math.max(...values);
}
