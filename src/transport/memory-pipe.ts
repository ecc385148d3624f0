// One end of a simulated link: sends packets until they are acknowledged, and puts those of the
// other end in order. What happens to a packet on its way is `MemoryWire`'s.
import { MEMORY_SEND_BUFFER_BYTES, TRANSPORT_DEFAULTS } from './defaults.ts';
import { type Packetiser, Reassembly } from './memory-packets.ts';
import type { Timer } from '../core/index.ts';
import type { BytePipe, BytePipeEvents } from './link.ts';
import type { MemoryNode } from './memory-node.ts';
import type { Packet } from './memory-packets.ts';
import type { MemoryWire } from './memory-wire.ts';

export class MemoryPipe implements BytePipe {
  readonly from: MemoryNode;
  readonly to: MemoryNode;
  readonly #wire: MemoryWire;
  readonly #packetiser: Packetiser;
  readonly #reassembly = new Reassembly();
  readonly #unacknowledged = new Map<number, Packet>();
  #unacknowledgedBytes = 0;
  /** Writes whose bytes wait for room in the buffer. */
  readonly #waiting: (() => void)[] = [];
  #pendingWrites = 0;
  #other!: MemoryPipe;
  #events: BytePipeEvents | undefined;
  /** What arrived in order before `start`. */
  #arrived: Packet[] = [];
  #ending = false;
  #endTimer: Timer | undefined;
  #closed = false;
  #failure: Error | undefined;

  constructor(from: MemoryNode, to: MemoryNode, wire: MemoryWire) {
    this.from = from;
    this.to = to;
    this.#wire = wire;
    this.#packetiser = wire.createPacketiser();
  }

  get pendingWrites(): number {
    return this.#pendingWrites;
  }

  get reordersStreams(): boolean {
    return this.#packetiser.independent;
  }

  get closed(): boolean {
    return this.#closed;
  }

  join(other: MemoryPipe): void {
    this.#other = other;
  }

  start(events: BytePipeEvents): void {
    this.#events = events;
    for (const packet of this.#arrived.splice(0)) this.#deliver(packet);
    if (this.#closed) process.nextTick(() => events.closed(this.#failure));
  }

  write(bytes: Uint8Array, owner?: Buffer): void {
    if (this.#closed || this.#ending) return;
    this.#pendingWrites++;
    const packets = this.#packetiser.cut(Buffer.from(bytes));
    const written = () => {
      this.#pendingWrites--;
      if (!this.#closed) this.#events?.written(owner);
    };
    this.from.run(() => {
      for (const packet of packets) this.#send(packet);
      this.from.clock.schedule(this.#wire.writeMs(this), () => {
        if (this.#unacknowledgedBytes <= MEMORY_SEND_BUFFER_BYTES) written();
        else this.#waiting.push(written);
      });
    });
  }

  end(): void {
    if (this.#closed || this.#ending) return;
    this.#ending = true;
    const packet = this.#packetiser.end();
    this.from.run(() => this.#send(packet));
    this.#endTimer = this.from.clock.schedule(TRANSPORT_DEFAULTS.closeTimeoutMs, () => {
      this.#giveUp();
    });
  }

  /** This end is gone; the other one is not told. */
  fail(error: Error): void {
    if (this.#closed) return;
    this.#failure = error;
    this.#close();
  }

  /** A packet of the other end is here. */
  receive(packet: Packet): void {
    if (this.#closed) {
      this.#wire.reset(this, this.#other);
      return;
    }
    this.#wire.acknowledge(this, () => this.#other.#acknowledged(packet));
    for (const ready of this.#reassembly.take(packet)) {
      this.#wire.note(this.#other, 'delivered', ready);
      if (this.#events === undefined) this.#arrived.push(ready);
      else this.#deliver(ready);
    }
  }

  #deliver({ bytes }: Packet): void {
    if (this.#closed) return;
    if (bytes === undefined) this.#close();
    else if (bytes.length > 0) this.#events?.data(bytes, 0, bytes.length);
  }

  #send(packet: Packet): void {
    if (this.#closed) return;
    packet.firstSentMs = this.from.clock.now();
    this.#unacknowledged.set(packet.number, packet);
    this.#unacknowledgedBytes += packet.bytes?.length ?? 0;
    this.#transmit(packet);
  }

  #transmit(packet: Packet): void {
    packet.attempts++;
    this.#wire.carry(this, packet, () => this.#other.receive(packet));
    const waitMs = this.#wire.retransmitMs(this, packet.attempts);
    packet.timer = this.from.clock.schedule(waitMs, () => this.#retransmit(packet));
  }

  #retransmit(packet: Packet): void {
    if (this.#closed) return;
    const silentMs = this.from.clock.now() - packet.firstSentMs;
    if (silentMs < this.#wire.linkTimeoutMs) {
      this.#transmit(packet);
      return;
    }
    this.#failure = new Error(`nothing was acknowledged for ${Math.round(silentMs)} ms`);
    this.#giveUp();
  }

  #giveUp(): void {
    if (this.#closed) return;
    this.#wire.reset(this, this.#other);
    this.#close();
  }

  #acknowledged(packet: Packet): void {
    if (this.#closed || !this.#unacknowledged.delete(packet.number)) return;
    packet.timer?.cancel();
    this.#unacknowledgedBytes -= packet.bytes?.length ?? 0;
    if (this.#ending && this.#unacknowledged.size === 0) {
      this.#close();
      return;
    }
    while (this.#unacknowledgedBytes <= MEMORY_SEND_BUFFER_BYTES) {
      const written = this.#waiting.shift();
      if (written === undefined) return;
      written();
    }
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#endTimer?.cancel();
    for (const { timer } of this.#unacknowledged.values()) timer?.cancel();
    this.#unacknowledged.clear();
    this.#waiting.length = 0;
    this.#wire.gone(this);
    this.#events?.closed(this.#failure);
  }
}
