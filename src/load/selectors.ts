// How much room a node has left, by one resource or by several: 1 is idle, 0 is full. A selector
// that the record has no figure for answers undefined, never 0.
import { invalidOption } from '../core/index.ts';
import { LOAD_DEFAULTS } from './defaults.ts';
import { usageOf } from './node-load.ts';
import type { NodeLoad } from './node-load.ts';

export type Selector = (load: NodeLoad) => number | undefined;

const left = (usage: number) => Math.min(1, Math.max(0, 1 - usage));

export const cpuSelector: Selector = ({ cpu }) => left(cpu);

/** V8's heap. */
export const heapSelector: Selector = ({ heapUsed, heapMax }) => left(usageOf(heapUsed, heapMax));

export const memorySelector: Selector = ({ memoryUsed, memoryMax }) =>
  left(usageOf(memoryUsed, memoryMax));

/** The mean of CPU and heap. */
export const mixSelector: Selector = ({ cpu, heapUsed, heapMax }) =>
  (left(cpu) + left(usageOf(heapUsed, heapMax))) / 2;

/** @param limit in-flight requests, the engine's among them, that leave nothing. */
export function inFlightSelector(limit: number = LOAD_DEFAULTS.inFlightLimit): Selector {
  checkPositive('limit', limit);
  return ({ inFlight, engine }) => left(Math.max(inFlight, engine?.running ?? 0) / limit);
}

/** @param limit waiting requests, here or in the engine, that leave nothing. */
export function queueSelector(limit: number = LOAD_DEFAULTS.queueLimit): Selector {
  checkPositive('limit', limit);
  return ({ queued, engine }) => left((queued + (engine?.waiting ?? 0)) / limit);
}

/** The engine's KV cache; undefined for a node whose engine does not say. */
export const kvCacheSelector: Selector = ({ engine }) =>
  engine?.kvCacheUsage === undefined ? undefined : left(engine.kvCacheUsage);

/** The fullest GPU memory; undefined without a GPU. */
export const gpuMemorySelector: Selector = ({ gpus }) =>
  gpus === undefined || gpus.length === 0
    ? undefined
    : Math.min(...gpus.map((gpu) => left(usageOf(gpu.memoryUsed, gpu.memoryMax))));

/** The weighted mean of those parts that have a figure; undefined when none has. */
export function compositeSelector(
  parts: readonly { readonly selector: Selector; readonly weight: number }[],
): Selector {
  if (parts.length === 0) throw invalidOption('parts', 'one or more', 'none');
  for (const { weight } of parts) checkPositive('weight', weight);
  return (load) => {
    let sum = 0;
    let weights = 0;
    for (const { selector, weight } of parts) {
      const room = selector(load);
      if (room === undefined) continue;
      sum += weight * room;
      weights += weight;
    }
    return weights === 0 ? undefined : sum / weights;
  };
}

/** Selectors by name, with their default limits. */
const SELECTORS = {
  cpu: cpuSelector,
  heap: heapSelector,
  memory: memorySelector,
  mix: mixSelector,
  'in-flight': inFlightSelector(),
  queue: queueSelector(),
  'kv-cache': kvCacheSelector,
  'gpu-memory': gpuMemorySelector,
} as const satisfies Readonly<Record<string, Selector>>;

export type SelectorName = keyof typeof SELECTORS;

export const SELECTOR_NAMES = Object.keys(SELECTORS) as readonly SelectorName[];

/** One selector by its name, or several with their weights. */
export function createSelector(
  chosen: SelectorName | Readonly<Partial<Record<SelectorName, number>>>,
): Selector {
  if (typeof chosen === 'string') return SELECTORS[chosen];
  const names = SELECTOR_NAMES.filter((name) => chosen[name] !== undefined);
  return compositeSelector(
    names.map((name) => ({ selector: SELECTORS[name], weight: chosen[name] as number })),
  );
}

function checkPositive(option: string, value: number): void {
  if (!(value > 0 && value < Number.POSITIVE_INFINITY)) {
    throw invalidOption(option, 'above 0 and finite', value);
  }
}
