// Load records on the wire, checked where they arrive. They travel as arrays: every member gets one
// of every other each second.
import { loadInvalid, MAX_BATCH, readNodeLoad } from '../load/index.ts';
import { MEMBER_LIMITS } from './defaults.ts';
import type { NodeLoad } from '../load/index.ts';

/** Control kind of load records. */
export const LOAD = 'load';

/** One record, or the newest of many nodes. */
export function encodeLoads(records: readonly NodeLoad[]): unknown {
  return records.map(encodeLoad);
}

/** The parts of a message; each is to be read by `readLoad`. Errors: `load_invalid`. */
export function loadsOf(body: unknown): readonly unknown[] {
  if (Array.isArray(body) && body.length <= MAX_BATCH) return body;
  throw loadInvalid('records', `a list of at most ${MAX_BATCH}`, body);
}

/** Errors: `load_invalid`. */
export function readLoad(body: unknown): NodeLoad {
  const record = readNodeLoad(Array.isArray(body) ? fieldsOf(body) : body);
  const { maxIncarnation } = MEMBER_LIMITS;
  if (record.incarnation <= maxIncarnation) return record;
  throw loadInvalid('incarnation', `at most ${maxIncarnation}`, record.incarnation);
}

function encodeLoad(record: NodeLoad): unknown[] {
  const { gpus, engine } = record;
  const fields: unknown[] = [
    record.node,
    record.incarnation,
    record.timestampMs,
    record.cpu,
    record.memoryUsed,
    record.memoryMax,
    record.heapUsed,
    record.heapMax,
    record.eventLoopDelayMs,
    record.eventLoopUtilization,
    record.inFlight,
    record.queued,
  ];
  if (gpus === undefined && engine === undefined) return fields;
  const told = gpus?.map(({ utilization, memoryUsed, memoryMax }) => [
    utilization,
    memoryUsed,
    memoryMax,
  ]);
  fields.push(told ?? null);
  if (engine === undefined) return fields;
  const { running = null, waiting = null, kvCacheUsage = null, cacheHitRate = null } = engine;
  fields.push([running, waiting, kvCacheUsage, cacheHitRate]);
  return fields;
}

function fieldsOf(list: readonly unknown[]): Record<string, unknown> {
  const gpus = list[12];
  const engine = list[13];
  return {
    node: list[0],
    incarnation: list[1],
    timestampMs: list[2],
    cpu: list[3],
    memoryUsed: list[4],
    memoryMax: list[5],
    heapUsed: list[6],
    heapMax: list[7],
    eventLoopDelayMs: list[8],
    eventLoopUtilization: list[9],
    inFlight: list[10],
    queued: list[11],
    gpus: Array.isArray(gpus) ? gpus.map(gpuOf) : (gpus ?? undefined),
    engine: Array.isArray(engine) ? engineOf(engine) : (engine ?? undefined),
  };
}

function gpuOf(list: unknown): unknown {
  if (!Array.isArray(list)) return list;
  const [utilization, memoryUsed, memoryMax] = list;
  return { utilization, memoryUsed, memoryMax };
}

/** A figure that the engine does not publish is null on the wire. */
function engineOf(list: readonly unknown[]): unknown {
  const [running, waiting, kvCacheUsage, cacheHitRate] = list.map((figure) => figure ?? undefined);
  return { running, waiting, kvCacheUsage, cacheHitRate };
}
