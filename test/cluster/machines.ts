// Membership machines in one process on one simulated clock: no connections, only messages with a
// delay, a chance to be lost, and members that crash, stall or are cut off from each other.
import { createPrng } from '../../src/core/index.ts';
import { Membership, MEMBERSHIP_PRESETS } from '../../src/cluster/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import type { Prng } from '../../src/core/index.ts';
import type {
  Member,
  MemberRecord,
  MembershipEffect,
  MembershipEvent,
  MembershipOptions,
  MemberStatus,
} from '../../src/cluster/index.ts';

export const LOCAL: MembershipOptions = MEMBERSHIP_PRESETS.local;

const DELAY_MS = 1;
const START = 1_000;

export function recordOf(name: string, incarnation = START): MemberRecord {
  return { name, address: `${name}:7400`, httpAddress: '', incarnation, metadata: {} };
}

export function memberOf(
  name: string,
  status: MemberStatus = 'up',
  incarnation: number = START,
): Member {
  const declared = status === 'joining' || status === 'leaving' || status === 'up' ? status : 'up';
  return { ...recordOf(name, incarnation), status, declared };
}

export interface Change {
  readonly at: number;
  readonly observer: string;
  readonly member: Member;
  readonly previous: MemberStatus | undefined;
}

interface Machine {
  membership: Membership;
  state: 'runs' | 'stalled' | 'crashed';
  /** Where its tick was due when it stalled. */
  dueMs: number;
  backlog: MembershipEvent[];
}

export class Machines {
  readonly clock = new SimulatedClock();
  readonly changes: Change[] = [];
  /** True for a message that does not arrive. */
  cut: (from: string, to: string) => boolean = () => false;
  loss = 0;
  /** Messages sent, exchanges included. */
  sent = 0;
  readonly #prng: Prng;
  readonly #options: MembershipOptions;
  readonly #machines = new Map<string, Machine>();

  constructor(seed: number, options: MembershipOptions = LOCAL) {
    this.#prng = createPrng(seed);
    this.#options = options;
  }

  /** Starts `count` members, each joined through the first, and waits until all know all. */
  static of(count: number, seed: number, options: MembershipOptions = LOCAL): Machines {
    const machines = new Machines(seed, options);
    const names = Array.from({ length: count }, (_, index) => `m${index}`);
    for (const name of names) machines.start(name, { seed: name === 'm0' ? undefined : 'm0' });
    machines.until(() => names.every((name) => machines.upAt(name).length === count), 60_000);
    return machines;
  }

  get names(): string[] {
    return [...this.#machines.keys()];
  }

  /** Starts a member, or its next life. */
  start(name: string, { seed, incarnation }: { seed?: string | undefined; incarnation?: number }) {
    const record = recordOf(name, incarnation ?? START + Math.floor(this.clock.now()));
    const membership = new Membership(record, this.#options, createPrng(this.#prng.uint32()));
    this.#machines.set(name, { membership, state: 'runs', dueMs: Infinity, backlog: [] });
    if (seed !== undefined) {
      const host = this.#machines.get(seed)!.membership;
      const earlier = host.lastOf(name);
      this.step(seed, { type: 'merge', from: name, members: [membership.self] });
      const members = earlier === undefined ? host.view() : [...host.view(), earlier];
      this.step(name, { type: 'merge', from: seed, members });
    }
    this.step(name, { type: 'declare', status: 'up' });
  }

  at(name: string): Membership {
    return this.#machines.get(name)!.membership;
  }

  /** Whom `name` holds for up, itself included. */
  upAt(name: string): string[] {
    const up = this.at(name)
      .members()
      .filter(({ status }) => status === 'up');
    return up.map((member) => member.name);
  }

  crash(name: string): void {
    this.#machines.get(name)!.state = 'crashed';
  }

  /** Its event loop hangs: what arrives waits, and time passes unnoticed. */
  stall(name: string, forMs: number): void {
    const machine = this.#machines.get(name)!;
    machine.state = 'stalled';
    this.clock.schedule(forMs, () => {
      if (machine.state !== 'stalled') return;
      machine.state = 'runs';
      const lateMs = this.clock.now() - machine.dueMs;
      if (lateMs > this.#options.stallMs) this.step(name, { type: 'stalled', forMs: lateMs });
      for (const event of machine.backlog.splice(0)) this.step(name, event);
      this.step(name, { type: 'tick' });
    });
  }

  run(ms: number): void {
    this.clock.advance(ms);
  }

  /** Runs until `holds`; how long it took. Throws after `limitMs`. */
  until(holds: () => boolean, limitMs: number): number {
    const start = this.clock.now();
    while (!holds()) {
      if (this.clock.now() - start > limitMs) throw new Error(`it did not hold in ${limitMs} ms`);
      this.clock.advance(10);
    }
    return this.clock.now() - start;
  }

  step(name: string, event: MembershipEvent): void {
    const machine = this.#machines.get(name)!;
    if (machine.state === 'crashed') return;
    if (machine.state === 'stalled') {
      if (event.type !== 'tick') machine.backlog.push(event);
      return;
    }
    for (const effect of machine.membership.step(event, this.clock.now())) {
      this.#do(name, machine, effect);
    }
    this.#schedule(name, machine);
  }

  #schedule(name: string, machine: Machine): void {
    const dueMs = machine.membership.nextTickAt();
    if (dueMs >= machine.dueMs && machine.dueMs > this.clock.now()) return;
    machine.dueMs = dueMs;
    if (dueMs === Infinity) return;
    this.clock.schedule(dueMs - this.clock.now(), () => {
      if (machine.dueMs === dueMs && this.#machines.get(name) === machine) {
        this.step(name, { type: 'tick' });
      }
    });
  }

  #do(from: string, machine: Machine, effect: MembershipEffect): void {
    if (effect.type === 'changed') {
      const { member, previous } = effect;
      this.changes.push({ at: this.clock.now(), observer: from, member, previous });
    } else if (effect.type === 'send') {
      const { to, message } = effect;
      this.#deliver(from, to, () => ({ type: 'message', from, message }));
    } else if (effect.type === 'exchange') {
      const members = machine.membership.view();
      this.#deliver(
        from,
        effect.with,
        () => ({ type: 'merge', from, members }),
        () => {
          const answer = this.at(effect.with).view();
          this.#deliver(effect.with, from, () => ({
            type: 'merge',
            from: effect.with,
            members: answer,
          }));
        },
      );
    }
  }

  #deliver(from: string, to: string, event: () => MembershipEvent, then = () => {}): void {
    this.sent++;
    if (this.cut(from, to) || this.#prng.next() < this.loss) return;
    const life = this.#machines.get(to);
    this.clock.schedule(DELAY_MS * (1 + this.#prng.next()), () => {
      if (life === undefined || life !== this.#machines.get(to)) return;
      this.step(to, event());
      if (life.state === 'runs') then();
    });
  }
}
