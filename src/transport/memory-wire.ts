// What lies between the nodes of the simulated network: delays, losses, duplicates, late packets
// and partitions, drawn from one generator. Links and nodes are others'.
import { MEMORY_DEFAULTS } from './defaults.ts';
import { Packetiser } from './memory-packets.ts';
import { MemoryTrace } from './memory-trace.ts';
import type { Clock, Prng } from '../core/index.ts';
import type { Packet } from './memory-packets.ts';
import type { MemoryPipe } from './memory-pipe.ts';
import type { MemoryEvent, MemoryStep } from './memory-trace.ts';

/** What the way from one node to another does to packets. */
export interface MemoryConditions {
  /** One-way delay of every packet. @default 1 */
  readonly delayMs: number;
  /** Up to this much is added at random; order within a stream stays. @default 0 */
  readonly jitterMs: number;
  /** Probability that a packet is lost; it is sent again after `retransmitMs`. @default 0 */
  readonly loss: number;
  /** Probability that a packet arrives twice. @default 0 */
  readonly duplication: number;
  /** Probability that a packet takes up to `reorderMs` longer: others pass it. @default 0 */
  readonly reordering: number;
  /** @default 10 */
  readonly reorderMs: number;
}

export interface MemoryNetworkOptions extends Partial<MemoryConditions> {
  /** What a link sends is cut into pieces of random size, as a real network may. @default false */
  readonly cut?: boolean;
  /**
   * Streams of a link do not wait for each other's lost packets, as over QUIC. Otherwise a lost
   * packet holds up all that follows on its link, as over TCP. @default false
   */
  readonly independentStreams?: boolean;
  /** A packet is sent again after this long without an acknowledgement, doubled. @default 200 */
  readonly retransmitMs?: number;
  /** The longest pause between two sendings of a packet. @default 2000 */
  readonly maxRetransmitMs?: number;
  /** A packet that is not acknowledged within this breaks its link. @default 15 000 */
  readonly linkTimeoutMs?: number;
  /** Hears every step of the network, for debugging. */
  readonly onEvent?: (event: MemoryEvent) => void;
}

interface WireComponents {
  readonly clock: Clock;
  readonly prng: Prng;
}

const NOTHING = { number: 0, bytes: undefined };

export class MemoryWire {
  readonly trace: MemoryTrace;
  readonly pipes = new Set<MemoryPipe>();
  readonly linkTimeoutMs: number;
  readonly #clock: Clock;
  readonly #prng: Prng;
  readonly #options: Required<Omit<MemoryNetworkOptions, 'onEvent'>>;
  #everywhere: MemoryConditions;
  readonly #routes = new Map<string, Partial<MemoryConditions>>();
  readonly #partitions = new Set<string>();

  constructor({ clock, prng }: WireComponents, options: MemoryNetworkOptions) {
    this.#clock = clock;
    this.#prng = prng;
    this.#options = { ...MEMORY_DEFAULTS, ...options };
    this.#everywhere = this.#options;
    this.linkTimeoutMs = this.#options.linkTimeoutMs;
    this.trace = new MemoryTrace(options.onEvent);
  }

  shape(conditions: Partial<MemoryConditions>, route?: { from: string; to: string }): void {
    if (route === undefined) {
      this.#everywhere = { ...this.#everywhere, ...conditions };
      this.#routes.clear();
    } else {
      const key = `${route.from}>${route.to}`;
      this.#routes.set(key, { ...this.#routes.get(key), ...conditions });
    }
  }

  partition(from: string, to: string): void {
    this.#partitions.add(`${from}>${to}`);
  }

  heal(from: string, to: string): void {
    this.#partitions.delete(`${from}>${to}`);
  }

  isPartitioned(from: string, to: string): boolean {
    return this.#partitions.has(`${from}>${to}`);
  }

  createPacketiser(): Packetiser {
    const { cut, independentStreams } = this.#options;
    return new Packetiser(independentStreams, cut ? this.#prng : undefined);
  }

  /** How long a write keeps the link busy. */
  writeMs({ from, to }: MemoryPipe): number {
    return this.#conditions(from.name, to.name).delayMs;
  }

  /** Sends a packet once, or twice; `arrive` runs at its target, which may be never. */
  carry(pipe: MemoryPipe, packet: Packet, arrive: () => void): void {
    this.note(pipe, packet.attempts > 1 ? 'retransmitted' : 'sent', packet);
    const { duplication } = this.#conditions(pipe.from.name, pipe.to.name);
    this.#carryOnce(pipe, packet, arrive);
    if (!this.#chance(duplication)) return;
    this.note(pipe, 'duplicated', packet);
    this.#carryOnce(pipe, packet, arrive);
  }

  /** Tells the other end that a packet came. What is lost of this is made good by a resend. */
  acknowledge(pipe: MemoryPipe, arrive: () => void): void {
    this.#travel(pipe, this.#conditions(pipe.from.name, pipe.to.name).delayMs, arrive);
  }

  /** Tells `other` that this end is gone. */
  reset(pipe: MemoryPipe, other: MemoryPipe): void {
    this.acknowledge(pipe, () => other.fail(new Error('the connection was reset')));
  }

  /** When to send a packet again that was sent `attempts` times. */
  retransmitMs({ from, to }: MemoryPipe, attempts: number): number {
    const there = this.#conditions(from.name, to.name);
    const { delayMs } = this.#conditions(to.name, from.name);
    const roundTripMs = there.delayMs + there.jitterMs + delayMs;
    return this.redialMs(attempts) + 2 * roundTripMs;
  }

  redialMs(attempts: number): number {
    const { retransmitMs, maxRetransmitMs } = this.#options;
    return Math.min(maxRetransmitMs, retransmitMs * 2 ** (attempts - 1));
  }

  /** A question and its answer, as a dial is: `answered` runs at the asker, or never. */
  roundTrip(from: string, to: string, answered: () => void): void {
    const there = this.#conditions(from, to);
    const back = this.#conditions(to, from);
    this.#note({ from, to, step: 'dial', number: 0, bytes: 0 });
    if (this.#chance(there.loss) || this.#chance(back.loss)) return;
    const cut = () => this.isPartitioned(from, to) || this.isPartitioned(to, from);
    if (cut()) return;
    const takesMs = this.#delay(there) + this.#delay(back);
    this.#clock.schedule(takesMs, () => {
      if (!cut()) answered();
    });
  }

  gone(pipe: MemoryPipe): void {
    this.pipes.delete(pipe);
    this.note(pipe, 'closed', NOTHING);
  }

  note(
    { from, to }: MemoryPipe,
    step: MemoryStep,
    { number, bytes }: { number: number; bytes: Buffer | undefined },
  ): void {
    this.#note({ from: from.name, to: to.name, step, number, bytes: bytes?.length ?? 0 });
  }

  /** An operator's fault, for the trace. */
  noteFault(from: string, to: string): void {
    this.#note({ from, to, step: 'fault', number: 0, bytes: 0 });
  }

  #note(event: Omit<MemoryEvent, 'atMs'>): void {
    this.trace.note({ atMs: this.#clock.now(), ...event });
  }

  #carryOnce(pipe: MemoryPipe, packet: Packet, arrive: () => void): void {
    const conditions = this.#conditions(pipe.from.name, pipe.to.name);
    if (this.#chance(conditions.loss)) {
      this.note(pipe, 'lost', packet);
      return;
    }
    let delayMs = this.#delay(conditions);
    if (this.#chance(conditions.reordering)) {
      this.note(pipe, 'reordered', packet);
      delayMs += this.#prng.next() * conditions.reorderMs;
    }
    this.#travel(pipe, delayMs, arrive, () => this.note(pipe, 'lost', packet));
  }

  /** Runs `arrive` at the target, unless a partition is in the way at either end of the time. */
  #travel({ from, to }: MemoryPipe, delayMs: number, arrive: () => void, lost = () => {}): void {
    if (this.isPartitioned(from.name, to.name)) {
      lost();
      return;
    }
    this.#clock.schedule(delayMs, () => {
      if (this.isPartitioned(from.name, to.name) || (to.dead && !to.answersDead)) lost();
      else if (to.dead) arrive();
      else to.run(arrive);
    });
  }

  #conditions(from: string, to: string): MemoryConditions {
    const route = this.#routes.get(`${from}>${to}`);
    return route === undefined ? this.#everywhere : { ...this.#everywhere, ...route };
  }

  #delay({ delayMs, jitterMs }: MemoryConditions): number {
    return jitterMs > 0 ? delayMs + this.#prng.next() * jitterMs : delayMs;
  }

  #chance(probability: number): boolean {
    return probability > 0 && this.#prng.next() < probability;
  }
}
