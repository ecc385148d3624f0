// The network between nodes: which way works, how long it takes, what is lost, doubled or late.
// Control messages are as unreliable here as a network can be; what a call sends is sent again
// until it arrives or its link breaks, as TCP does.
import { Ways } from './ways.ts';
import type { Prng } from '../../src/core/index.ts';
import type { SimHost } from './host.ts';
import type { Process, World } from './world.ts';

export interface NetworkConditions {
  readonly delayMs: number;
  readonly jitterMs: number;
  /** The probability that a message is lost. */
  loss: number;
  /** … that it arrives twice. */
  duplication: number;
  /** … that it is late by up to `lateMs`, so that others pass it. */
  late: number;
  readonly lateMs: number;
}

const RESEND_FIRST_MS = 200;
const RESEND_LAST_MS = 3_200;

export class Network {
  readonly world: World;
  readonly conditions: NetworkConditions;
  readonly prng: Prng;
  /** Who listens at an address: the latest life there. */
  readonly #listening = new Map<string, SimHost>();
  readonly ways = new Ways();
  readonly counters = { sent: 0, lost: 0 };

  constructor(world: World, conditions: NetworkConditions) {
    this.world = world;
    this.conditions = conditions;
    this.prng = world.prng(2);
  }

  listen(address: string, host: SimHost): void {
    this.#listening.set(address, host);
  }

  at(address: string): SimHost | undefined {
    const host = this.#listening.get(address);
    return host?.process.alive ? host : undefined;
  }

  hosts(): SimHost[] {
    return [...this.#listening.values()].filter(({ process }) => process.alive);
  }

  /** Sends once: `deliver` runs at `to` once, twice or never. */
  send(from: string, to: Process, deliver: () => void): void {
    const { loss, duplication } = this.conditions;
    this.counters.sent++;
    if (!this.ways.pass(from, to.name) || this.prng.next() < loss) {
      this.counters.lost++;
      return;
    }
    this.world.at(this.#delayMs(), to, deliver);
    if (this.prng.next() < duplication) this.world.at(this.#delayMs(), to, deliver);
  }

  /** Sends until it arrives once, or `wanted` no longer holds. */
  sendReliably(from: string, to: Process, way: { deliver(): void; wanted(): boolean }): void {
    this.counters.sent++;
    this.#attempt(from, to, { ...way, resendMs: RESEND_FIRST_MS });
  }

  #attempt(
    from: string,
    to: Process,
    way: { deliver(): void; wanted(): boolean; resendMs: number },
  ): void {
    if (!way.wanted()) return;
    if (this.ways.pass(from, to.name) && this.prng.next() >= this.conditions.loss) {
      this.world.at(this.#delayMs(), to, way.deliver);
      return;
    }
    this.counters.lost++;
    this.world.at(way.resendMs, undefined, () => {
      const resendMs = Math.min(2 * way.resendMs, RESEND_LAST_MS);
      this.#attempt(from, to, { ...way, resendMs });
    });
  }

  #delayMs(): number {
    const { delayMs, jitterMs, late, lateMs } = this.conditions;
    const usual = delayMs + jitterMs * this.prng.next();
    return late > 0 && this.prng.next() < late ? usual + lateMs * this.prng.next() : usual;
  }
}
