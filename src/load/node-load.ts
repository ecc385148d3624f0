// The record of what one node is doing, and the check that every record passes where it arrives: a
// number that is not a number, is infinite or out of its range never gets further than here.
import { MAX_GPUS, MAX_NAME_LENGTH } from './defaults.ts';
import { loadInvalid } from './errors.ts';

export interface GpuLoad {
  /** 0 to 1. */
  readonly utilization: number;
  /** Bytes. */
  readonly memoryUsed: number;
  readonly memoryMax: number;
}

/** What an inference server says of itself. A figure that it does not publish is absent, not 0. */
export interface EngineLoad {
  readonly running?: number;
  readonly waiting?: number;
  /** 0 to 1. */
  readonly kvCacheUsage?: number;
  /** Share of prompt tokens found in the prefix cache, 0 to 1. */
  readonly cacheHitRate?: number;
}

/** One sample of one node. Ratios are 0 to 1, sizes bytes; what was not measured is absent. */
export interface NodeLoad {
  readonly node: string;
  /** The node's life: records of an earlier one never replace those of a later one. */
  readonly incarnation: number;
  /** When it was sampled: wall time of the node's start plus monotonic time since, milliseconds. */
  readonly timestampMs: number;
  /** Share of the processor time that this node may use. */
  readonly cpu: number;
  readonly memoryUsed: number;
  /** 0 when there is no limit to compare with. */
  readonly memoryMax: number;
  readonly heapUsed: number;
  readonly heapMax: number;
  readonly eventLoopDelayMs: number;
  readonly eventLoopUtilization: number;
  /** Requests that the node is working on, and those that wait for it. */
  readonly inFlight: number;
  readonly queued: number;
  readonly gpus?: readonly GpuLoad[];
  readonly engine?: EngineLoad;
}

/** Used over most; 0 when the most is 0. */
export function usageOf(used: number, max: number): number {
  return max === 0 ? 0 : Math.min(1, used / max);
}

/**
 * Requests at the node, at work and waiting: by its own count or by its engine's, which others may
 * ask too, whichever is higher.
 */
export function requestsOf({ inFlight, queued, engine }: NodeLoad): number {
  return Math.max(inFlight + queued, (engine?.running ?? 0) + (engine?.waiting ?? 0));
}

type Fields = Record<string, unknown>;

const SIZES = ['memoryUsed', 'memoryMax', 'heapUsed', 'heapMax', 'eventLoopDelayMs'] as const;
const COUNTS = ['incarnation', 'inFlight', 'queued'] as const;
const RATIOS = ['cpu', 'eventLoopUtilization'] as const;

/** Reads a record that came from elsewhere. Errors: `load_invalid`. */
export function readNodeLoad(body: unknown): NodeLoad {
  const fields = recordOf('record', body);
  const { node, gpus, engine } = fields;
  if (typeof node !== 'string' || node === '' || node.length > MAX_NAME_LENGTH) {
    throw loadInvalid('node', `a name of at most ${MAX_NAME_LENGTH} characters`, node);
  }
  const numbers: Record<string, number> = { timestampMs: sizeOf(fields, 'timestampMs') };
  for (const field of SIZES) numbers[field] = sizeOf(fields, field);
  for (const field of COUNTS) numbers[field] = countOf(fields, field);
  for (const field of RATIOS) numbers[field] = ratioOf(fields, field);
  return {
    ...(numbers as unknown as Omit<NodeLoad, 'node' | 'gpus' | 'engine'>),
    node,
    ...(gpus !== undefined && { gpus: readGpus(gpus) }),
    ...(engine !== undefined && { engine: readEngine(engine) }),
  };
}

function readGpus(value: unknown): GpuLoad[] {
  if (!Array.isArray(value) || value.length > MAX_GPUS) {
    throw loadInvalid('gpus', `a list of at most ${MAX_GPUS}`, value);
  }
  return value.map((entry) => {
    const gpu = recordOf('gpus', entry);
    return {
      utilization: ratioOf(gpu, 'utilization'),
      memoryUsed: sizeOf(gpu, 'memoryUsed'),
      memoryMax: sizeOf(gpu, 'memoryMax'),
    };
  });
}

function readEngine(value: unknown): EngineLoad {
  const engine = recordOf('engine', value);
  const has = (field: string) => engine[field] !== undefined;
  return {
    ...(has('running') && { running: countOf(engine, 'running') }),
    ...(has('waiting') && { waiting: countOf(engine, 'waiting') }),
    ...(has('kvCacheUsage') && { kvCacheUsage: ratioOf(engine, 'kvCacheUsage') }),
    ...(has('cacheHitRate') && { cacheHitRate: ratioOf(engine, 'cacheHitRate') }),
  };
}

function recordOf(field: string, value: unknown): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw loadInvalid(field, 'an object', value);
}

function ratioOf(fields: Fields, field: string): number {
  const value = fields[field];
  if (typeof value === 'number' && value >= 0 && value <= 1) return value;
  throw loadInvalid(field, 'from 0 to 1', value);
}

function sizeOf(fields: Fields, field: string): number {
  const value = fields[field];
  if (typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER) return value;
  throw loadInvalid(field, 'a number from 0', value);
}

function countOf(fields: Fields, field: string): number {
  const value = fields[field];
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw loadInvalid(field, 'a whole number from 0', value);
}
