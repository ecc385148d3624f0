// Ejects endpoints that answer 5xx several times in a row, for longer each time, as Envoy does. At
// most a share of them at once and never the last one: when all fail, the fault is elsewhere.
import { invalidOption } from '../core/index.ts';
import { EJECTION_DEFAULTS } from './defaults.ts';

export interface EjectionOptions {
  /** @default 5 */
  readonly consecutive?: number;
  /** @default 30000 */
  readonly baseMs?: number;
  /** @default 300000 */
  readonly maxMs?: number;
  /** @default 0.1 */
  readonly maxShare?: number;
}

interface Watched {
  failures: number;
  /** Ejections lately; one is forgiven for each `baseMs` in service. */
  ejections: number;
  untilMs: number;
  /** Since when there is something to forgive. */
  forgivenAtMs: number;
}

export class OutlierEjector {
  readonly #options: Required<EjectionOptions>;
  readonly #watched = new Map<number, Watched>();

  constructor(options: EjectionOptions = {}) {
    this.#options = { ...EJECTION_DEFAULTS, ...options };
    const { consecutive, baseMs, maxMs, maxShare } = this.#options;
    for (const [name, value] of Object.entries({ consecutive, baseMs, maxMs })) {
      if (!(value >= 1 && Number.isFinite(value))) throw invalidOption(name, 'at least 1', value);
    }
    if (!(maxShare >= 0 && maxShare <= 1)) throw invalidOption('maxShare', '0 to 1', maxShare);
  }

  add(slot: number): void {
    const never = Number.NEGATIVE_INFINITY;
    this.#watched.set(slot, { failures: 0, ejections: 0, untilMs: never, forgivenAtMs: never });
  }

  remove(slot: number): void {
    this.#watched.delete(slot);
  }

  isEjected(slot: number, nowMs: number): boolean {
    const watched = this.#watched.get(slot);
    return watched !== undefined && nowMs < watched.untilMs;
  }

  /** When its last ejection ended or will end; −∞ when it was never ejected. */
  backAtMs(slot: number): number {
    return this.#watched.get(slot)?.untilMs ?? Number.NEGATIVE_INFINITY;
  }

  /** Takes in how a request ended; true when its endpoint is ejected for it. */
  settle(slot: number, ok: boolean, nowMs: number): boolean {
    const watched = this.#watched.get(slot);
    if (watched === undefined || nowMs < watched.untilMs) return false;
    if (ok) {
      watched.failures = 0;
      return false;
    }
    watched.failures++;
    if (watched.failures < this.#options.consecutive || !this.#mayEject(nowMs)) return false;
    const { baseMs, maxMs } = this.#options;
    this.#forgive(watched, nowMs);
    watched.ejections++;
    watched.failures = 0;
    watched.untilMs = nowMs + Math.min(maxMs, baseMs * watched.ejections);
    watched.forgivenAtMs = watched.untilMs;
    return true;
  }

  #forgive(watched: Watched, nowMs: number): void {
    const periods = Math.floor((nowMs - watched.forgivenAtMs) / this.#options.baseMs);
    if (periods > 0) watched.ejections = Math.max(0, watched.ejections - periods);
  }

  #mayEject(nowMs: number): boolean {
    let ejected = 0;
    for (const { untilMs } of this.#watched.values()) if (nowMs < untilMs) ejected++;
    const total = this.#watched.size;
    const most = Math.max(1, Math.floor(total * this.#options.maxShare));
    return ejected < Math.min(most, total - 1);
  }
}
