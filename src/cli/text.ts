// How the command line writes numbers, times and tables.

export function formatCount(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** 950, 12.3k, 182k, 1.2M: for rates that change while one looks. */
export function formatRate(value: number): string {
  if (value < 1_000) return String(Math.round(value));
  const [scaled, unit] = value < 999_500 ? [value / 1e3, 'k'] : [value / 1e6, 'M'];
  return `${scaled.toFixed(scaled < 99.95 ? 1 : 0)}${unit}`;
}

/** 950 B, 12.3 KiB, 182 MiB, 1.2 GiB. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;
  let scaled = bytes;
  let unit = 0;
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled /= 1024;
    unit++;
  }
  return `${scaled.toFixed(unit === 0 || scaled >= 99.95 ? 0 : 1)} ${units[unit]}`;
}

/** m:ss, or h:mm:ss. */
export function formatClock(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  const hours = Math.floor(whole / 3600);
  const padded = (value: number) => String(value).padStart(2, '0');
  if (hours > 0) return [hours, ...parts.map(padded)].join(':');
  return `${parts[0]}:${padded(parts[1] ?? 0)}`;
}

/** 0.8 s, 12.3 s, 2 min 5 s. */
export function formatSeconds(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

export function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return `${Math.floor(seconds / 3600)} h ago`;
}

/** 40 s ago, 12 min ago, 3 h ago, 2 days ago: where tenths do not matter. */
export function formatAgo(milliseconds: number): string {
  return `${formatSpan(milliseconds)} ago`;
}

/** in 40 s, in 12 min, or expired. */
export function formatUntil(milliseconds: number): string {
  return milliseconds <= 0 ? 'expired' : `in ${formatSpan(milliseconds)}`;
}

function formatSpan(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}

/** The figures of a link prediction, as far as they are known. */
export interface MetricFigures {
  readonly mrr: number;
  readonly hits1: number;
  readonly hits3: number;
  readonly hits10: number;
}

export function formatMetrics({ mrr, hits1, hits3, hits10 }: MetricFigures): string {
  const figures = { MRR: mrr, 'Hits@1': hits1, 'Hits@3': hits3, 'Hits@10': hits10 };
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${value.toFixed(3)}`)
    .join(' ');
}

/** Columns padded to their widest cell; the first row is the heading. */
export function formatTable(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, at) => {
      widths[at] = Math.max(widths[at] ?? 0, cell.length);
    });
  }
  return rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}
