// A fleet of membership machines in one process: the network with its delay and loss, stalls,
// crashes, partitions and joins, on one queue of events. It does what the driver does around the
// machine, as far as time and messages go; what is made of it is for `swim.ts` and
// `convergence.ts`.
import { Membership } from '../../src/cluster/index.ts';
import { encodeMessage, encodeView, EXCHANGE, MEMBERSHIP } from '../../src/cluster/messages.ts';
import { createPrng } from '../../src/core/index.ts';
import { EventQueue } from '../event-queue.ts';
import { messageBytes } from './message-bytes.ts';
import type {
  Member,
  MemberRecord,
  MembershipEffect,
  MembershipEvent,
  MembershipOptions,
  MemberStatus,
} from '../../src/cluster/index.ts';
import type { Prng } from '../../src/core/index.ts';

export interface WorldOptions {
  readonly nodes: number;
  readonly seed: number;
  readonly membership: MembershipOptions;
  readonly loss: number;
  readonly delayMs: readonly [least: number, most: number];
}

/** `observer` thinks otherwise of `subject` now; undefined when it has forgotten it. */
export type Listener = (
  observer: number,
  subject: number,
  status: MemberStatus | undefined,
) => void;

interface Node {
  readonly index: number;
  readonly record: MemberRecord;
  machine: Membership;
  alive: boolean;
  /** Members of other groups are out of reach. */
  group: number;
  stalledUntilMs: number;
  /** When its tick is queued for; a tick queued for another moment is stale. */
  tickAtMs: number;
  /** What arrived during a stall. */
  readonly waiting: Arrival[];
}

interface Arrival {
  readonly event: MembershipEvent;
  /** The node that awaits this one's view in return. */
  readonly answerTo: Node | undefined;
}

interface Happening {
  readonly node: Node | undefined;
  /** Undefined for a tick. */
  readonly arrival: Arrival | undefined;
  readonly run: (() => void) | undefined;
}

/** One message in so many is encoded to know its size. */
const SIZED_EVERY = 16;
/** So many members of a view are encoded to know the size of all. */
const SIZED_MEMBERS = 20;
/** Until then a new fleet introduces its members to each other. */
const SETTLED_MS = 2000;
const FIRST_INCARNATION = 1_700_000_000_000;
const TICK: MembershipEvent = { type: 'tick' };

export class SwimWorld {
  readonly #options: WorldOptions;
  readonly #prng: Prng;
  /** One object for all machines, which `#introduce` changes for a moment. */
  readonly #membership: MembershipOptions;
  readonly #queue = new EventQueue<Happening>();
  readonly #nodes: Node[] = [];
  readonly #indexes = new Map<string, number>();
  readonly #listener: Listener;
  #nowMs = 0;
  #messages = 0;
  #bytes = 0;

  constructor(options: WorldOptions, listener: Listener) {
    this.#options = options;
    this.#listener = listener;
    this.#membership = { ...options.membership };
    this.#prng = createPrng(options.seed, 0x7377);
    for (let index = 0; index < options.nodes; index++) this.#create();
    this.#introduce();
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Messages sent so far, by all. */
  get messages(): number {
    return this.#messages;
  }

  /** Bytes sent so far, estimated from a sample of the messages. */
  get bytes(): number {
    return this.#bytes;
  }

  isAlive(index: number): boolean {
    return this.#nodes[index]?.alive ?? false;
  }

  machine(index: number): Membership {
    return this.#nodeAt(index).machine;
  }

  at(atMs: number, run: () => void): void {
    this.#queue.push(atMs, { node: undefined, arrival: undefined, run });
  }

  run(untilMs: number): void {
    while (this.#queue.nextAtMs <= untilMs) {
      this.#nowMs = this.#queue.nextAtMs;
      const { node, arrival, run } = this.#queue.pop() as Happening;
      if (run !== undefined) run();
      else if (node?.alive) this.#happen(node, arrival);
    }
    this.#nowMs = untilMs;
  }

  /** It ends without a word. */
  crash(index: number): void {
    this.#nodeAt(index).alive = false;
  }

  stall(index: number, forMs: number): void {
    const node = this.#nodeAt(index);
    node.stalledUntilMs = this.#nowMs + forMs;
    this.at(node.stalledUntilMs, () => {
      if (node.alive) this.#resume(node);
    });
  }

  /** Only members of one group reach each other from now on. */
  partition(groupOf: (index: number) => number): void {
    for (const node of this.#nodes) node.group = groupOf(node.index);
  }

  /** A newcomer asks `seed` for its view, and is up as soon as it has it. */
  join(seed: number): number {
    const node = this.#create();
    const joining = { ...node.record, status: 'joining', declared: 'joining' } as const;
    const event = { type: 'merge', from: node.record.name, members: [joining] } as const;
    this.#deliver(node, this.#nodeAt(seed), { event, answerTo: node });
    this.at(this.#nowMs + 2 * this.#options.delayMs[1], () => {
      this.#step(node, { type: 'declare', status: 'up' });
    });
    return node.index;
  }

  /**
   * Everybody knows everybody. A fleet that grew by joins has told its news long ago; here all of
   * it would be news at once, so for a moment the machines say it once and in few words.
   */
  #introduce(): void {
    Object.assign(this.#membership, { retransmitMultiplier: 0, maxGossipBytes: 1e9 });
    this.at(SETTLED_MS, () => Object.assign(this.#membership, this.#options.membership));
    for (const node of this.#nodes) this.#step(node, { type: 'declare', status: 'up' });
    const members = this.#nodes.map(({ machine }) => machine.self);
    for (const node of this.#nodes) {
      const from = nameOf((node.index + 1) % this.#nodes.length);
      this.#step(node, { type: 'merge', from, members });
    }
  }

  #create(): Node {
    const index = this.#nodes.length;
    const name = nameOf(index);
    const record = {
      name,
      address: `10.0.${index >> 8}.${index & 255}:7400`,
      httpAddress: `10.0.${index >> 8}.${index & 255}:8080`,
      incarnation: FIRST_INCARNATION + index,
      metadata: { role: 'worker' },
    };
    const { seed } = this.#options;
    const node: Node = {
      index,
      record,
      machine: new Membership(record, this.#membership, createPrng(seed, index + 1)),
      alive: true,
      group: 0,
      stalledUntilMs: 0,
      tickAtMs: Number.POSITIVE_INFINITY,
      waiting: [],
    };
    this.#nodes.push(node);
    this.#indexes.set(name, index);
    return node;
  }

  #happen(node: Node, arrival: Arrival | undefined): void {
    const stalled = this.#nowMs < node.stalledUntilMs;
    if (arrival === undefined) {
      // A stalled node's timer is looked at when it wakes.
      if (!stalled && node.tickAtMs === this.#nowMs) this.#tick(node);
    } else if (stalled) node.waiting.push(arrival);
    else this.#receive(node, arrival);
  }

  /** Timers first, then what has arrived: the order of an event loop after a stall. */
  #resume(node: Node): void {
    if (node.machine.nextTickAt() <= this.#nowMs) this.#tick(node);
    for (const arrival of node.waiting.splice(0)) this.#receive(node, arrival);
  }

  #tick(node: Node): void {
    const lateMs = this.#nowMs - node.machine.nextTickAt();
    if (lateMs > this.#options.membership.stallMs) {
      this.#step(node, { type: 'stalled', forMs: lateMs });
    }
    node.tickAtMs = Number.POSITIVE_INFINITY;
    this.#step(node, TICK);
  }

  #receive(node: Node, { event, answerTo }: Arrival): void {
    this.#step(node, event);
    if (answerTo === undefined) return;
    const members = node.machine.view();
    const answer = { type: 'merge', from: node.record.name, members } as const;
    this.#deliver(node, answerTo, { event: answer, answerTo: undefined });
  }

  #step(node: Node, event: MembershipEvent): void {
    for (const effect of node.machine.step(event, this.#nowMs)) this.#apply(node, effect);
    const dueMs = node.machine.nextTickAt();
    if (dueMs >= node.tickAtMs) return;
    node.tickAtMs = Math.max(dueMs, this.#nowMs);
    this.#queue.push(node.tickAtMs, { node, arrival: undefined, run: undefined });
  }

  #apply(node: Node, effect: MembershipEffect): void {
    if (effect.type === 'send') {
      const event = { type: 'message', from: node.record.name, message: effect.message } as const;
      this.#deliver(node, this.#named(effect.to), { event, answerTo: undefined });
    } else if (effect.type === 'exchange') {
      const members: Member[] = node.machine.view();
      const event = { type: 'merge', from: node.record.name, members } as const;
      this.#deliver(node, this.#named(effect.with), { event, answerTo: node });
    } else {
      const status = effect.type === 'changed' ? effect.member.status : undefined;
      this.#listener(node.index, this.#indexes.get(effect.member.name) as number, status);
    }
  }

  #deliver(from: Node, to: Node, arrival: Arrival): void {
    this.#count(arrival.event);
    const { loss, delayMs } = this.#options;
    if (from.group !== to.group || !to.alive) return;
    if (loss > 0 && this.#prng.next() < loss) return;
    const [least, most] = delayMs;
    const atMs = this.#nowMs + least + this.#prng.next() * (most - least);
    this.#queue.push(atMs, { node: to, arrival, run: undefined });
  }

  #count(event: MembershipEvent): void {
    if (event.type === 'merge') {
      const sample = event.members.slice(0, SIZED_MEMBERS);
      const bytes = messageBytes(EXCHANGE, encodeView(sample));
      this.#bytes += (bytes * event.members.length) / sample.length;
    } else if (event.type === 'message' && this.#messages % SIZED_EVERY === 0) {
      this.#bytes += SIZED_EVERY * messageBytes(MEMBERSHIP, encodeMessage(event.message));
    }
    this.#messages++;
  }

  #named(name: string): Node {
    return this.#nodeAt(this.#indexes.get(name) as number);
  }

  #nodeAt(index: number): Node {
    return this.#nodes[index] as Node;
  }
}

function nameOf(index: number): string {
  return `node-${String(index).padStart(4, '0')}`;
}
