// The figures of a device at one time, and the check that a record passes when it comes from
// another node. Placement reads them; members and gossip carry them.
import { MAX_CAPABILITIES, MAX_DEVICES, MAX_TEXT_LENGTH } from './defaults.ts';
import { launchInvalid } from './errors.ts';
import type { BackendKind } from './backend.ts';
import type { DeviceState } from './supervisor.ts';

export interface DeviceStats {
  readonly address: string;
  readonly backend: BackendKind;
  /** What computes, for people; empty while there is no context. */
  readonly description: string;
  readonly capabilities: readonly string[];
  readonly state: DeviceState;
  /** The life of its context; buffers of an earlier one are stale. */
  readonly generation: number;
  /** Commands that wait. */
  readonly queued: number;
  /** Commands that run. */
  readonly active: number;
  readonly buffers: number;
  /** Bytes that buffers take, of what they may take. */
  readonly memoryUsed: number;
  readonly memoryMax: number;
  readonly launches: number;
  /** Contexts that were lost. */
  readonly faults: number;
  /** Milliseconds in which something ran, since the device was made. */
  readonly busyMs: number;
  /** When this was taken, on the monotonic clock of whoever holds the record. */
  readonly sampledAtMs: number;
  /** Of a dead one. */
  readonly reason?: string;
}

/** A sample: the figures, and how busy the device was since the one before. */
export interface DeviceSample extends DeviceStats {
  /** 0 to 1. */
  readonly utilization: number;
}

/** What load records say of a GPU. */
export interface DeviceLoad {
  /** 0 to 1. */
  readonly utilization: number;
  /** Bytes. */
  readonly memoryUsed: number;
  readonly memoryMax: number;
}

/** The share of the time between two records in which the device was busy, 0 to 1. */
export function utilizationOf(before: DeviceStats | undefined, now: DeviceStats): number {
  const elapsed = before === undefined ? 0 : now.sampledAtMs - before.sampledAtMs;
  if (before === undefined || elapsed <= 0) return now.active > 0 ? 1 : 0;
  return Math.min(1, Math.max(0, (now.busyMs - before.busyMs) / elapsed));
}

const BACKENDS: readonly BackendKind[] = ['cpu', 'webgpu', 'mock'];
const STATES: readonly DeviceState[] = ['new', 'opening', 'ready', 'rebuilding', 'dead', 'stopped'];
const COUNTS = [
  'generation',
  'queued',
  'active',
  'buffers',
  'memoryUsed',
  'memoryMax',
  'launches',
  'faults',
] as const;

/**
 * Reads a record that came from elsewhere, received at `nowMs`: another machine's clock says
 * nothing here. Raises `launch_invalid`, which names the field.
 */
export function readDeviceStats(body: unknown, nowMs: number): DeviceStats {
  if (typeof body !== 'object' || body === null) throw launchInvalid('device', 'a record', body);
  const fields = body as Readonly<Record<string, unknown>>;
  const numbers: Record<string, number> = { busyMs: numberOf(fields, 'busyMs') };
  for (const field of COUNTS) numbers[field] = numberOf(fields, field);
  const { capabilities } = fields;
  if (!Array.isArray(capabilities) || capabilities.length > MAX_CAPABILITIES) {
    throw launchInvalid('capabilities', `a list of at most ${MAX_CAPABILITIES}`, capabilities);
  }
  const { reason } = fields;
  return {
    ...(numbers as Pick<DeviceStats, (typeof COUNTS)[number] | 'busyMs'>),
    address: textOf('address', fields['address']),
    description: textOf('description', fields['description']),
    capabilities: capabilities.map((name) => textOf('capability', name)),
    backend: oneOf('backend', fields['backend'], BACKENDS),
    state: oneOf('state', fields['state'], STATES),
    sampledAtMs: nowMs,
    ...(reason !== undefined && { reason: textOf('reason', reason) }),
  };
}

/** Reads the samples of all devices of a node. @see readDeviceStats */
export function readDeviceSamples(body: unknown, nowMs: number): DeviceSample[] {
  if (!Array.isArray(body) || body.length > MAX_DEVICES) {
    throw launchInvalid('devices', `a list of at most ${MAX_DEVICES}`, body);
  }
  return body.map((entry) => {
    const stats = readDeviceStats(entry, nowMs);
    return { ...stats, utilization: Math.min(1, numberOf(entry, 'utilization')) };
  });
}

function numberOf(fields: Readonly<Record<string, unknown>>, name: string): number {
  const value = fields[name];
  if (typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER) return value;
  throw launchInvalid(name, 'a number from 0', value);
}

function textOf(name: string, value: unknown): string {
  if (typeof value === 'string' && value.length <= MAX_TEXT_LENGTH) return value;
  throw launchInvalid(name, `a text of at most ${MAX_TEXT_LENGTH} characters`, value);
}

function oneOf<T extends string>(name: string, value: unknown, known: readonly T[]): T {
  if (known.includes(value as T)) return value as T;
  throw launchInvalid(name, `one of ${known.join(', ')}`, value);
}
