// What an inference server says of its load at its Prometheus endpoint: vLLM, SGLang and llama.cpp.
// Names match exactly; a gauge that is not there is absent, never 0.
import type { EngineLoad } from '../node-load.ts';

/** One line of the exposition format: a name, its labels and a finite value. */
export interface GaugeSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Characters of an exposition that are read: more is not a gauge page. */
const MAX_EXPOSITION = 4 * 1024 * 1024;

const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

/**
 * Reads the Prometheus text format, version 0.0.4. Comments, lines that break the format and values
 * that are not finite are skipped.
 */
export function parseExposition(text: string): GaugeSample[] {
  const samples: GaugeSample[] = [];
  for (const line of text.slice(0, MAX_EXPOSITION).split('\n')) {
    if (line.startsWith('#')) continue;
    const match = LINE.exec(line.trim());
    if (match === null) continue;
    const [, name = '', labelText = '', valueText = ''] = match;
    const value = Number(valueText);
    if (!Number.isFinite(value)) continue;
    const labels: Record<string, string> = {};
    for (const [, key = '', quoted = ''] of labelText.matchAll(LABEL)) {
      labels[key] = quoted.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped));
    }
    samples.push({ name, labels, value });
  }
  return samples;
}

type Figure = 'running' | 'waiting' | 'kvCacheUsage' | 'cacheHitRate';

/** Gauges by engine; of several names for one figure the first that is there counts. */
const GAUGES: Readonly<Record<Figure, readonly string[]>> = {
  running: ['vllm:num_requests_running', 'sglang:num_running_reqs', 'llamacpp:requests_processing'],
  waiting: ['vllm:num_requests_waiting', 'sglang:num_queue_reqs', 'llamacpp:requests_deferred'],
  kvCacheUsage: ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc', 'sglang:token_usage'],
  cacheHitRate: ['sglang:cache_hit_rate'],
};

const HITS = 'vllm:prefix_cache_hits_total';
const QUERIES = 'vllm:prefix_cache_queries_total';

/** Follows one engine's gauges; rates come from what changed between two readings. */
export class EngineGauges {
  #hits: number | undefined;
  #queries: number | undefined;

  /**
   * What `exposition` says. Counts of several engines behind one endpoint (label `engine`) add up;
   * of ratios the highest counts, because the fullest cache is the one that evicts.
   */
  read(exposition: string): EngineLoad {
    const samples = parseExposition(exposition);
    const valuesOf = (name: string) =>
      samples.filter((sample) => sample.name === name).map(({ value }) => value);
    const figure = (kind: Figure, combine: (values: readonly number[]) => number) => {
      const values = GAUGES[kind].map(valuesOf).find((found) => found.length > 0);
      return values === undefined ? {} : { [kind]: combine(values) };
    };
    return {
      ...figure('running', countOf),
      ...figure('waiting', countOf),
      ...figure('kvCacheUsage', highestOf),
      ...figure('cacheHitRate', highestOf),
      ...this.#hitRate(valuesOf(HITS), valuesOf(QUERIES)),
    };
  }

  #hitRate(hits: readonly number[], queries: readonly number[]): EngineLoad {
    if (hits.length === 0 || queries.length === 0) return {};
    const [allHits, allQueries] = [sumOf(hits), sumOf(queries)];
    const newHits = allHits - (this.#hits ?? allHits);
    const newQueries = allQueries - (this.#queries ?? allQueries);
    this.#hits = allHits;
    this.#queries = allQueries;
    return newQueries > 0 ? { cacheHitRate: clampRatio(newHits / newQueries) } : {};
  }
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

function countOf(values: readonly number[]): number {
  return Math.max(0, Math.round(sumOf(values)));
}

function highestOf(values: readonly number[]): number {
  return clampRatio(Math.max(...values));
}

function clampRatio(value: number): number {
  return Math.min(1, Math.max(0, value));
}
