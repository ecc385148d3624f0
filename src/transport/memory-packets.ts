// Packets of the simulated network: how a link's writes become packets, and how they are put in
// order again, one after the other as over TCP or stream by stream as over QUIC.
import { MUX_FLAGS, MUX_HEADER_BYTES, readU32 } from '../wire/index.ts';
import type { Prng, Timer } from '../core/index.ts';

export interface Packet {
  /** 1, 2, … in the order of sending. */
  readonly number: number;
  /** Packets of a lane keep their order: the lane, and the place in it. */
  readonly lane: number;
  readonly place: number;
  /** The ends of streams that have to be delivered before: those sent earlier. */
  readonly afterEnds: number;
  /** Counts the ends of streams; 0 when it is none. */
  readonly endNumber: number;
  /** Everything sent earlier is delivered before it. */
  readonly last: boolean;
  /** Absent at the end of the flow. */
  readonly bytes: Buffer | undefined;
  firstSentMs: number;
  attempts: number;
  timer: Timer | undefined;
}

const LENGTH_MASK = 0xffffff;
const FLAG_SHIFT = 24;

/** Cuts what a link writes into packets. */
export class Packetiser {
  /** Streams may pass each other. */
  readonly independent: boolean;
  readonly #prng: Prng | undefined;
  readonly #places = new Map<number, number>();
  #number = 0;
  #ends = 0;

  /** `prng` cuts writes at random places; without it, or with independent streams, none is cut. */
  constructor(independentStreams: boolean, prng: Prng | undefined) {
    this.independent = independentStreams;
    this.#prng = prng;
  }

  /** The packets of one write; in streams mode one for each frame. */
  cut(bytes: Buffer): Packet[] {
    if (this.independent) return this.#frames(bytes);
    if (this.#prng === undefined || bytes.length < 2) return [this.#packet(0, { bytes })];
    const at = 1 + this.#prng.int(bytes.length - 1);
    const parts = [bytes.subarray(0, at), bytes.subarray(at)];
    return parts.map((part) => this.#packet(0, { bytes: part }));
  }

  /** The packet that says that nothing follows. */
  end(): Packet {
    return this.#packet(0, { last: true });
  }

  #frames(bytes: Buffer): Packet[] {
    const packets: Packet[] = [];
    for (let at = 0; at < bytes.length; ) {
      const stream = readU32(bytes, at);
      const word = readU32(bytes, at + 4);
      const flag = word >>> FLAG_SHIFT;
      const next = at + MUX_HEADER_BYTES + (word & LENGTH_MASK);
      // Answers to the other end's streams are lanes of their own.
      const answers = flag === MUX_FLAGS.credit || flag === MUX_FLAGS.refuse;
      const ends = flag === MUX_FLAGS.end || flag === MUX_FLAGS.reset;
      const afterEnds = flag === MUX_FLAGS.open ? this.#ends : 0;
      const lane = 2 * stream + Number(answers);
      const endNumber = ends ? ++this.#ends : 0;
      const last = flag === MUX_FLAGS.close;
      const frame = bytes.subarray(at, next);
      packets.push(this.#packet(lane, { bytes: frame, afterEnds, endNumber, last }));
      if (ends) this.#places.delete(lane);
      at = next;
    }
    return packets;
  }

  #packet(
    lane: number,
    { bytes, afterEnds = 0, endNumber = 0, last = false }: Partial<Packet>,
  ): Packet {
    const place = (this.#places.get(lane) ?? 0) + 1;
    this.#places.set(lane, place);
    const sending = { firstSentMs: 0, attempts: 0, timer: undefined };
    const number = ++this.#number;
    return { number, lane, place, afterEnds, endNumber, last, bytes, ...sending };
  }
}

/** Puts packets in order; each comes out once. */
export class Reassembly {
  readonly #delivered = new Prefix();
  readonly #ends = new Prefix();
  readonly #places = new Map<number, number>();
  readonly #held = new Map<number, Packet>();

  /** Takes a packet; what can be delivered now, in order. Nothing if the packet came before. */
  take(packet: Packet): Packet[] {
    const ready: Packet[] = [];
    if (this.#held.has(packet.number) || this.#delivered.has(packet.number)) return ready;
    this.#held.set(packet.number, packet);
    if (!this.#deliver(packet, ready)) return ready;
    for (let before = -1; before !== ready.length; ) {
      before = ready.length;
      if (this.#held.size === 0) break;
      const held = [...this.#held.values()].sort((one, other) => one.number - other.number);
      for (const waiting of held) this.#deliver(waiting, ready);
    }
    return ready;
  }

  #deliver(packet: Packet, ready: Packet[]): boolean {
    const { number, lane, place, afterEnds, endNumber, last } = packet;
    if (place !== (this.#places.get(lane) ?? 0) + 1) return false;
    if (!this.#ends.covers(afterEnds)) return false;
    if (last && !this.#delivered.covers(number - 1)) return false;
    this.#held.delete(number);
    this.#delivered.add(number);
    if (endNumber > 0) {
      this.#ends.add(endNumber);
      this.#places.delete(lane);
    } else {
      this.#places.set(lane, place);
    }
    ready.push(packet);
    return true;
  }
}

/** A set of the numbers from 1 on that fill up from below. */
class Prefix {
  #next = 1;
  readonly #beyond = new Set<number>();

  add(number: number): void {
    this.#beyond.add(number);
    while (this.#beyond.delete(this.#next)) this.#next++;
  }

  has(number: number): boolean {
    return number < this.#next || this.#beyond.has(number);
  }

  /** Holds every number up to this one. */
  covers(number: number): boolean {
    return number < this.#next;
  }
}
