// What a simulated engine tells of itself, under vLLM's names, in the Prometheus text format.
import type { EngineModelGauges } from './model.ts';

interface Figure {
  readonly type: 'gauge' | 'counter';
  readonly help: string;
  readonly value: (gauges: EngineModelGauges) => number;
}

const FIGURES: Readonly<Record<string, Figure>> = {
  'vllm:num_requests_running': {
    type: 'gauge',
    help: 'Requests in the batch.',
    value: ({ running }) => running,
  },
  'vllm:num_requests_waiting': {
    type: 'gauge',
    help: 'Requests that wait for a place in the batch.',
    value: ({ waiting }) => waiting,
  },
  'vllm:kv_cache_usage_perc': {
    type: 'gauge',
    help: 'Share of the cache that requests use, 0 to 1.',
    value: ({ cacheUsage }) => cacheUsage,
  },
  'vllm:prefix_cache_queries_total': {
    type: 'counter',
    help: 'Prompt tokens that were looked up in the cache.',
    value: ({ promptTokens }) => promptTokens,
  },
  'vllm:prefix_cache_hits_total': {
    type: 'counter',
    help: 'Prompt tokens that were found in the cache.',
    value: ({ cachedTokens }) => cachedTokens,
  },
  'vllm:generation_tokens_total': {
    type: 'counter',
    help: 'Tokens of answers.',
    value: ({ generatedTokens }) => generatedTokens,
  },
};

export function engineExposition(gauges: EngineModelGauges, model: string): string {
  const name = model.replace(/["\\\n]/g, (character) =>
    character === '\n' ? '\\n' : `\\${character}`,
  );
  return Object.entries(FIGURES)
    .map(
      ([figure, { type, help, value }]) =>
        `# HELP ${figure} ${help}\n# TYPE ${figure} ${type}\n` +
        `${figure}{engine="0",model_name="${name}"} ${value(gauges)}\n`,
    )
    .join('');
}
