// Draws the charts of the docs as SVG: lines over numbers, bars over categories. Colours and the
// transparent ground read on light and dark pages. Figures come from the benches; echarts draws.
import { loadPeer } from './peers/load.ts';

export interface Axis {
  readonly name: string;
  /** Powers of ten instead of equal steps; every value is then above 0. */
  readonly logarithmic?: boolean;
  readonly min?: number;
  readonly max?: number;
}

export interface Series {
  readonly name: string;
  /** For lines: x and y of each point. For bars: the index of the category, and the value. */
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly dashed?: boolean;
  /** Points alone, no line through them. */
  readonly scattered?: boolean;
  /** Colour of the palette; series that belong together may share one. @default its position */
  readonly colour?: number;
}

/** A level that a figure should stay below or above. */
export interface Mark {
  readonly name: string;
  readonly y: number;
}

export interface Chart {
  readonly title: string;
  /** What the reader should know beside the title: scenario, seeds. */
  readonly subtitle?: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
  readonly marks?: readonly Mark[];
}

export interface BarChart extends Omit<Chart, 'x'> {
  readonly categories: readonly string[];
  /** Whether each bar has its value above it. @default true */
  readonly labels?: boolean;
}

const WIDTH = 760;
const HEIGHT = 420;
const INK = '#7d8590';
const GRID = '#7d859040';
const PALETTE = ['#2f81f7', '#d1690e', '#2da44e', '#a45bd6', '#c9364f', '#8b7a1f', '#8c959f'];
const FONT = 'system-ui, sans-serif';

interface Echarts {
  init(
    dom: null,
    theme: null,
    options: { renderer: 'svg'; ssr: true; width: number; height: number },
  ): { setOption(option: object): void; renderToSVGString(): string; dispose(): void };
}

/** An SVG document with lines over a numeric axis. */
export function lineChart(chart: Chart): Promise<string> {
  return draw({
    ...frame(chart),
    xAxis: { ...axis(chart.x), nameLocation: 'middle', nameGap: 30 },
    series: chart.series.map((series, index) => ({
      type: series.scattered ? 'scatter' : 'line',
      name: series.name,
      data: series.points,
      symbol: 'circle',
      symbolSize: 6,
      color: colourOf(series, index),
      lineStyle: { width: 2, type: series.dashed ? 'dashed' : 'solid' },
      ...(index === 0 && marks(chart)),
    })),
  });
}

/** An SVG document with bars side by side in each category. */
export function barChart(chart: BarChart): Promise<string> {
  return draw({
    ...frame(chart),
    xAxis: {
      type: 'category',
      data: chart.categories,
      axisLabel: { color: INK, fontFamily: FONT, interval: 0 },
      axisLine: { lineStyle: { color: INK } },
      axisTick: { show: false },
    },
    series: chart.series.map((series, index) => ({
      type: 'bar',
      name: series.name,
      data: series.points.map(([category, value]) => [category, value]),
      color: colourOf(series, index),
      barMaxWidth: 34,
      label: {
        show: chart.labels ?? true,
        position: 'top',
        color: INK,
        fontFamily: FONT,
        fontSize: 10,
      },
      ...(index === 0 && marks(chart)),
    })),
  });
}

function frame(chart: Omit<Chart, 'x'>): object {
  const text = { color: INK, fontFamily: FONT };
  return {
    animation: false,
    backgroundColor: 'transparent',
    title: {
      text: chart.title,
      subtext: chart.subtitle ?? '',
      left: 12,
      top: 8,
      textStyle: { ...text, fontSize: 15 },
      subtextStyle: { ...text, fontSize: 11.5 },
    },
    legend: { bottom: 4, left: 'center', itemGap: 28, textStyle: text },
    grid: { left: 70, right: 30, top: 84, bottom: 84 },
    yAxis: { ...axis(chart.y), nameLocation: 'middle', nameGap: 50 },
  };
}

function axis({ name, logarithmic, min, max }: Axis): object {
  const text = { color: INK, fontFamily: FONT };
  return {
    type: logarithmic ? 'log' : 'value',
    name,
    nameTextStyle: text,
    axisLabel: text,
    axisLine: { show: true, lineStyle: { color: INK } },
    splitLine: { lineStyle: { color: GRID } },
    ...(min !== undefined && { min }),
    ...(max !== undefined && { max }),
  };
}

function marks(chart: Omit<Chart, 'x'>): object {
  const label = { color: INK, fontFamily: FONT, position: 'insideEndTop', formatter: '{b}' };
  return {
    markLine: {
      silent: true,
      symbol: 'none',
      lineStyle: { color: INK, type: 'dotted', width: 1.5 },
      label,
      data: (chart.marks ?? []).map(({ name, y }) => ({ name, yAxis: y })),
    },
  };
}

function colourOf(series: Series, index: number): string {
  return PALETTE[(series.colour ?? index) % PALETTE.length] as string;
}

async function draw(option: object): Promise<string> {
  const echarts = await loadPeer<Echarts>('echarts');
  const chart = echarts.init(null, null, {
    renderer: 'svg',
    ssr: true,
    width: WIDTH,
    height: HEIGHT,
  });
  chart.setOption(option);
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}
