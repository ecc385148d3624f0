// Decides from heartbeats who is healthy. Pure: it is told what arrived and what time it is, and
// answers with what changed. Timers and connections are `Cluster`'s.

/** What a node says of itself in each heartbeat. A later start has a larger incarnation. */
export interface MemberRecord {
  readonly name: string;
  /** Where peers reach it, `host:port`. */
  readonly address: string;
  /** Where clients reach it, `host:port`; empty without HTTP. */
  readonly httpAddress: string;
  /** Wall time of the start of the process, so that a restart outranks what came before. */
  readonly incarnation: number;
  readonly load: number;
}

export type HealthChange =
  | { readonly type: 'joined'; readonly member: MemberRecord; readonly healthy: boolean }
  | { readonly type: 'recovered' | 'updated'; readonly member: MemberRecord }
  | { readonly type: 'failed' | 'left'; readonly name: string };

interface Tracked {
  record: MemberRecord;
  lastHeardMs: number;
  healthy: boolean;
}

export interface DetectorOptions {
  readonly heartbeatIntervalMs: number;
  readonly healthTimeoutMs: number;
}

/** Heartbeat failure detection with a fixed timeout; times are on one monotonic clock. */
export class HeartbeatDetector {
  readonly #options: DetectorOptions;
  readonly #members = new Map<string, Tracked>();
  /** Incarnations that left on purpose: their late heartbeats do not bring them back. */
  readonly #departed = new Map<string, number>();
  #lastTickMs: number | undefined;

  constructor(options: DetectorOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#members.size;
  }

  members(): MemberRecord[] {
    return [...this.#members.values()].map(({ record }) => record);
  }

  /** A sign of life. Records of an older incarnation are ignored: they are late or forged. */
  heard(record: MemberRecord, nowMs: number): HealthChange[] {
    const known = this.#members.get(record.name);
    if (known === undefined) {
      if (this.#hasDeparted(record)) return [];
      this.#members.set(record.name, { record, lastHeardMs: nowMs, healthy: true });
      return [{ type: 'joined', member: record, healthy: true }];
    }
    const { record: previous, healthy } = known;
    if (record.incarnation < previous.incarnation) return [];
    known.record = record;
    known.lastHeardMs = nowMs;
    known.healthy = true;
    if (!healthy) return [{ type: 'recovered', member: record }];
    const moved =
      record.address !== previous.address || record.httpAddress !== previous.httpAddress;
    return moved ? [{ type: 'updated', member: record }] : [];
  }

  /** Somebody told of `record`: listed, but not healthy until it shows a sign of life itself. */
  introduced(record: MemberRecord, nowMs: number): HealthChange[] {
    if (this.#members.has(record.name) || this.#hasDeparted(record)) return [];
    this.#members.set(record.name, { record, lastHeardMs: nowMs, healthy: false });
    return [{ type: 'joined', member: record, healthy: false }];
  }

  /** `name` said good-bye as `incarnation`. */
  left(name: string, incarnation: number): HealthChange[] {
    const known = this.#members.get(name);
    if (known === undefined || known.record.incarnation > incarnation) return [];
    this.#members.delete(name);
    this.#departed.set(name, incarnation);
    return [{ type: 'left', name }];
  }

  /**
   * Time passed. Members that were silent for the timeout fail. After a stall of this process the
   * others' silence is this node's own deafness, so every member gets the stall's length on top.
   */
  tick(nowMs: number): HealthChange[] {
    const sinceTick = nowMs - (this.#lastTickMs ?? nowMs);
    const stallMs = Math.max(0, sinceTick - 2 * this.#options.heartbeatIntervalMs);
    this.#lastTickMs = nowMs;
    const changes: HealthChange[] = [];
    for (const [name, member] of this.#members) {
      member.lastHeardMs = Math.min(nowMs, member.lastHeardMs + stallMs);
      const silentMs = nowMs - member.lastHeardMs;
      if (!member.healthy || silentMs <= this.#options.healthTimeoutMs) continue;
      member.healthy = false;
      changes.push({ type: 'failed', name });
    }
    return changes;
  }

  #hasDeparted(record: MemberRecord): boolean {
    const departed = this.#departed.get(record.name);
    return departed !== undefined && record.incarnation <= departed;
  }
}
