// What this process may use of the machine, by its control group, version 2 or 1: the quota of
// processor time, what was used and throttled, the limit of memory and what is used of it. Absent
// means that there is no such limit; the machine is the limit then.

/** The text of a file; undefined when it cannot be read. */
export type ReadText = (path: string) => string | undefined;

export interface CgroupCpu {
  /** Processors that the quota is worth; undefined without a quota. */
  readonly quota?: number;
  /** Processor time used since the group began, milliseconds. */
  readonly usedMs: number;
  /** Scheduling periods so far, and those in which the group was throttled. */
  readonly periods: number;
  readonly throttledPeriods: number;
}

export interface CgroupMemory {
  readonly used: number;
  readonly max: number;
}

const ROOT = '/sys/fs/cgroup';
/** Limits above it are "no limit": version 1 says so with a number near 2^63. */
const NO_LIMIT = 2 ** 53;

/** Reads the group of this process. */
export class Cgroup {
  readonly #read: ReadText;
  /** Folders to look in, by controller of version 1 and '' for version 2; the nearest first. */
  readonly #folders: ReadonlyMap<string, readonly string[]>;
  /** Where a file was found, and that it is nowhere: to look for what is not there costs most. */
  readonly #places = new Map<string, string | undefined>();

  constructor(read: ReadText) {
    this.#read = read;
    this.#folders = foldersOf(read('/proc/self/cgroup') ?? '');
  }

  /** Undefined when no group accounts for processor time. */
  cpu(): CgroupCpu | undefined {
    const stat = this.#text('', 'cpu.stat');
    if (stat !== undefined) {
      const [quota, period] = (this.#text('', 'cpu.max') ?? 'max').trim().split(/\s+/).map(Number);
      return {
        ...quotaOf(quota, period),
        usedMs: valueIn(stat, 'usage_usec') / 1_000,
        periods: valueIn(stat, 'nr_periods'),
        throttledPeriods: valueIn(stat, 'nr_throttled'),
      };
    }
    const used = this.#number('cpuacct', 'cpuacct.usage');
    if (used === undefined) return undefined;
    const quota = this.#number('cpu', 'cpu.cfs_quota_us');
    const throttling = this.#text('cpu', 'cpu.stat') ?? '';
    return {
      ...quotaOf(quota, this.#number('cpu', 'cpu.cfs_period_us')),
      usedMs: used / 1e6,
      periods: valueIn(throttling, 'nr_periods'),
      throttledPeriods: valueIn(throttling, 'nr_throttled'),
    };
  }

  /** Undefined without a limit. What the kernel can drop at once counts as free. */
  memory(): CgroupMemory | undefined {
    const max = this.#number('', 'memory.max') ?? this.#number('memory', 'memory.limit_in_bytes');
    const used =
      this.#number('', 'memory.current') ?? this.#number('memory', 'memory.usage_in_bytes');
    if (max === undefined || used === undefined || max >= NO_LIMIT) return undefined;
    const stat = this.#text('', 'memory.stat') ?? this.#text('memory', 'memory.stat') ?? '';
    const cache = valueIn(stat, 'total_inactive_file') || valueIn(stat, 'inactive_file');
    return { used: Math.max(0, used - cache), max };
  }

  #text(controller: string, file: string): string | undefined {
    const key = `${controller}/${file}`;
    if (this.#places.has(key)) {
      const place = this.#places.get(key);
      return place === undefined ? undefined : this.#read(place);
    }
    const paths = (this.#folders.get(controller) ?? []).map((folder) => `${folder}/${file}`);
    const place = paths.find((path) => this.#read(path) !== undefined);
    this.#places.set(key, place);
    return this.#text(controller, file);
  }

  /** Undefined for "max", and for what is not a number. */
  #number(controller: string, file: string): number | undefined {
    const value = Number.parseInt(this.#text(controller, file) ?? '', 10);
    return Number.isFinite(value) ? value : undefined;
  }
}

function quotaOf(quota: number | undefined, period: number | undefined): { quota?: number } {
  const limited = quota !== undefined && period !== undefined && quota > 0 && period > 0;
  return limited ? { quota: quota / period } : {};
}

/** `name value` in a file of such lines; 0 when it is not there. */
function valueIn(text: string, name: string): number {
  const match = new RegExp(`^${name} (\\d+)$`, 'm').exec(text);
  return match === null ? 0 : Number(match[1]);
}

function foldersOf(membership: string): Map<string, string[]> {
  const folders = new Map<string, string[]>();
  for (const line of membership.split('\n')) {
    const match = /^\d+:([^:]*):(.*)$/.exec(line);
    if (match === null) continue;
    const [, controllers = '', path = '/'] = match;
    for (const controller of controllers.split(',')) {
      // Inside a container the path is that of the host, and the group's files are at the mount.
      const roots = controller === '' ? [ROOT, `${ROOT}/unified`] : [`${ROOT}/${controllers}`];
      if (controller !== '' && controllers !== controller) roots.push(`${ROOT}/${controller}`);
      const own = path === '/' ? [] : roots.map((root) => root + path);
      folders.set(controller, [...own, ...roots]);
    }
  }
  return folders;
}
