// Makes hostile bytes from a seed: recorded frames as they were, in wrong order, twice, bent, cut
// and spliced; frames that are sound outside and noise inside; and plain noise.
import { createPrng } from '../../src/core/index.ts';
import {
  FRAMED_PREFIX_BYTES,
  MUX_FLAGS,
  MUX_HEADER_BYTES,
  RAW_PREFIX_BYTES,
  writeFramedPrefix,
  writeRawPrefix,
} from '../../src/wire/index.ts';
import { frameOf } from './hostile-bytes.ts';
import type { Prng } from '../../src/core/index.ts';

/** Frames of a greeting, and of what a node said next in recorded exchanges. */
export interface Corpus {
  readonly greeting: readonly Buffer[];
  readonly exchanges: readonly (readonly Buffer[])[];
  /** All of the exchanges. */
  readonly frames: readonly Buffer[];
}

const FLAGS = [0, ...Object.values(MUX_FLAGS)];
const ODD_LENGTHS = [0, 1, 2, 255, 65_535, 65_536, 65_537, 2 ** 24 - 1, 2 ** 31, 2 ** 32 - 1];
const PREAMBLES = [
  ...[1, 2, 3, 4, 5].map((lane) => Buffer.from([1, lane])),
  Buffer.from('\x01\x01beat'),
  Buffer.from([2]),
  Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, 1]),
  Buffer.from([4, 0, 0, 0, 0, 0, 0, 0, 2]),
];
const MSGPACK = [0x80, 0x81, 0x90, 0x92, 0xa1, 0xc0, 0xc4, 0xc7, 0xcb, 0xd4, 0xd6, 0xdc, 0xdf];
const MAX_STREAMS = 12;
/** Kinds of fields by the start of a preamble. */
const LANE_FIELDS = new Map([
  ['\x01\x02', 0],
  ['\x01\x03', 1],
  ['\x01\x05', 2],
]);
const BODIES = ['', 'c0', 'c3', '07', '90', '80', '81a16101', '93c0a161cb4009000000000000', 'a0'];

/** An endless source of frames for one connection. */
export class Generator {
  readonly #prng: Prng;
  readonly #corpus: Corpus;
  /** Streams that are open, as far as this end can tell. */
  #open: { stream: number; lane: string }[] = [];
  #nextStream = 2;
  #procedures = 0;
  #gentle = false;
  readonly #bodies = BODIES.map((hex) => Buffer.from(hex, 'hex'));

  constructor(corpus: Corpus, seed: number, connection: number) {
    this.#corpus = corpus;
    this.#prng = createPrng(seed, connection);
  }

  int(bound: number): number {
    return this.#prng.int(bound);
  }

  /** Frames of one connection: mostly a greeting first, as nothing else is read before it. */
  connection(): Buffer[] {
    const frames: Buffer[] = this.int(20) === 0 ? [] : [...this.#corpus.greeting];
    // The greeting's own fields, its last bytes above all, are bent now and then.
    if (frames[1] !== undefined && this.int(20) === 0) frames[1] = this.#bent(frames[1]);
    // The start of a real exchange opens the lanes that the rest then attacks.
    if (this.int(3) > 0) {
      const exchange = this.#pick(this.#corpus.exchanges);
      const sound = exchange.slice(0, this.int(exchange.length + 1));
      for (const bytes of sound) this.#note(bytes);
      frames.push(...sound);
    }
    this.#gentle = this.int(2) === 0;
    const count = 1 + this.int(60);
    for (let i = 0; i < count; i++) {
      const next = this.#frameOf();
      this.#note(next);
      frames.push(next);
    }
    if (!this.#gentle && this.int(4) === 0) this.#shuffleTail(frames);
    return frames;
  }

  /** Cuts bytes where no frame ends. */
  cut(bytes: Buffer): Buffer[] {
    if (this.int(3) > 0) return [bytes];
    const at = this.int(bytes.length + 1);
    return [bytes.subarray(0, at), bytes.subarray(at)].filter(({ length }) => length > 0);
  }

  #frameOf(): Buffer {
    if (this.#open.length === 0 && this.int(10) > 0) return this.#opening();
    if (this.#gentle && this.int(25) > 0) return this.#gentleFrame();
    switch (this.int(16)) {
      case 0:
        return this.#recorded();
      case 1:
        return this.#bent(this.#recorded());
      case 2:
        return this.#spliced();
      case 3:
        return this.#cutShort();
      case 4:
        return frameOf(this.#stream(), 0, this.noise(1 + this.int(80)));
      case 5:
        return this.#signal();
      case 6:
      case 7:
        return this.#opening();
      case 8:
        return this.#closing();
      default:
        return this.#said();
    }
  }

  /** What ends no connection by itself, so that the next frame is read, too. */
  #gentleFrame(): Buffer {
    switch (this.int(12)) {
      case 0:
        return this.#opening();
      case 1:
        return this.#closing();
      case 2:
        return this.#signal();
      default:
        return this.#said();
    }
  }

  #opening(): Buffer {
    const preamble = this.#pick(PREAMBLES);
    const odd = this.int(30);
    if (odd === 0) return frameOf(this.#stream(), MUX_FLAGS.open, preamble);
    if (odd === 1) return frameOf(this.#nextStream, MUX_FLAGS.open, this.noise(this.int(600)));
    return frameOf(this.#nextStream, MUX_FLAGS.open, preamble);
  }

  #closing(): Buffer {
    return frameOf(this.#stream(), this.int(2) === 0 ? MUX_FLAGS.end : MUX_FLAGS.reset);
  }

  /** Keeps up with what is open. */
  #note(bytes: Buffer): void {
    if (bytes.length < MUX_HEADER_BYTES) return;
    const stream = bytes.readUInt32LE(0);
    const flag = bytes[7];
    if (flag === MUX_FLAGS.open) {
      this.#open.push({ stream, lane: bytes.toString('latin1', MUX_HEADER_BYTES, 10) });
      this.#nextStream = Math.min(Math.max(this.#nextStream, stream + 1), 2 ** 32 - 1);
    } else if (flag === MUX_FLAGS.end || flag === MUX_FLAGS.reset) {
      this.#open = this.#open.filter((known) => known.stream !== stream);
    }
  }

  noise(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.int(256)));
  }

  #recorded(): Buffer {
    const recorded = this.#pick(this.#corpus.frames);
    if (recorded[7] !== 0 || this.int(20) === 0) return recorded;
    return frameOf(this.#stream(), 0, recorded.subarray(MUX_HEADER_BYTES));
  }

  /** One to four bits or bytes of a frame changed, header included. */
  #bent(of: Buffer): Buffer {
    const bent = Buffer.from(of);
    for (let i = this.int(4); i >= 0; i--) {
      // Mostly the payload: a bent header ends the connection at once.
      const from = this.int(4) === 0 || bent.length <= MUX_HEADER_BYTES ? 0 : MUX_HEADER_BYTES;
      const at = from + this.int(bent.length - from);
      bent[at] = this.int(2) === 0 ? bent[at]! ^ (1 << this.int(8)) : this.int(256);
    }
    return bent;
  }

  /** The start of one payload and the end of another in one frame. */
  #spliced(): Buffer {
    const one = this.#recorded().subarray(MUX_HEADER_BYTES);
    const other = this.#recorded().subarray(MUX_HEADER_BYTES);
    const head = one.subarray(0, this.int(one.length + 1));
    const tail = other.subarray(this.int(other.length + 1));
    return frameOf(this.#stream(), 0, Buffer.concat([head, tail, Buffer.of(0)]));
  }

  /** A frame without its end: what follows is read as part of it. */
  #cutShort(): Buffer {
    const recorded = this.#recorded();
    if (this.int(4) === 0) return recorded.subarray(0, 1 + this.int(recorded.length));
    const payload = recorded.subarray(MUX_HEADER_BYTES);
    const padded = Buffer.concat([payload, Buffer.of(0)]);
    return frameOf(this.#stream(), 0, padded.subarray(0, 1 + this.int(padded.length)));
  }

  #signal(): Buffer {
    const odd = this.int(this.#gentle ? 400 : 16) === 0;
    const flag = odd ? this.#pick(FLAGS) : this.#pick([MUX_FLAGS.credit, MUX_FLAGS.refuse]);
    const stream = flag === MUX_FLAGS.close ? 0 : 1 + this.int(MAX_STREAMS);
    const length = flag === MUX_FLAGS.credit ? 8 : 0;
    return frameOf(stream, flag, this.noise(odd && this.int(2) === 0 ? this.int(1100) : length));
  }

  /** A message on an open stream, mostly with the fields of its lane. */
  #said(): Buffer {
    if (this.#open.length === 0) return this.#opening();
    const { stream, lane } = this.#pick(this.#open);
    const kind = LANE_FIELDS.get(lane) ?? 4;
    const odd = this.int(this.#gentle ? 100 : 10) === 0;
    return frameOf(stream, 0, this.#message(odd ? this.int(5) : kind, lane));
  }

  /** A message with a sound prefix, mostly, and fields of some lane or noise behind it. */
  #message(fields: number, lane: string): Buffer {
    const head = Buffer.concat([this.#fields(fields), this.#body()]);
    const bytes = this.int(3) === 0 ? this.noise(this.int(40)) : Buffer.alloc(0);
    const lie = this.int(this.#gentle ? 200 : 24) === 0;
    const raw = lane !== '' && !lane.startsWith('\x01');
    if (raw !== (this.int(this.#gentle ? 300 : 30) === 0)) {
      const prefix = Buffer.alloc(RAW_PREFIX_BYTES);
      writeRawPrefix(prefix, 0, lie ? this.#pick(ODD_LENGTHS) : bytes.length);
      return Buffer.concat([prefix, bytes]);
    }
    const prefix = Buffer.alloc(FRAMED_PREFIX_BYTES);
    writeFramedPrefix(prefix, 0, {
      headBytes: lie && this.int(2) === 0 ? this.#pick(ODD_LENGTHS) : head.length,
      bytes: lie ? this.#pick(ODD_LENGTHS) : bytes.length,
    });
    return Buffer.concat([prefix, head, bytes]);
  }

  /** Fields of requests, answers and relayed messages, with small numbers. */
  #fields(kind: number): Buffer {
    switch (kind) {
      case 0: {
        const fields = Buffer.alloc(12);
        fields[0] = this.int(30) === 0 ? this.int(8) : 1;
        fields[1] = this.int(30) === 0 ? this.int(256) : 1;
        // Names come in the order of their numbers.
        fields[2] = this.int(10) === 0 ? this.int(5) : this.#procedures;
        if (fields[1] === 1) this.#procedures++;
        else if (this.#procedures > 0) fields[2] = this.int(this.#procedures);
        fields[4] = this.int(256);
        fields.writeUInt32LE(this.#pick([0, 1, 50, 30_000, 2 ** 32 - 1]), 8);
        const names = ['echo', 'later', 'fail', 'failLater', 'never', 'odd', ''];
        const name = Buffer.from(this.#pick(names));
        return fields[1] === 1 ? Buffer.concat([fields, Buffer.of(name.length), name]) : fields;
      }
      case 1:
        return Buffer.from([
          this.int(12) === 0 ? this.int(8) : 3 + this.int(2),
          0,
          0,
          0,
          this.int(16),
          0,
          0,
          0,
        ]);
      case 2: {
        const names = [Buffer.from('node-x'), Buffer.from('node-a'), Buffer.from('node-b')];
        const source = this.int(12) === 0 ? this.noise(1 + this.int(255)) : this.#pick(names);
        const target = this.int(16) === 0 ? this.noise(this.int(256)) : this.#pick(names);
        const fixed = [1 + this.int(3), this.int(12), source.length, target.length, 0, 0, 0, 0];
        return Buffer.concat([Buffer.from(fixed), source, target]);
      }
      default:
        return Buffer.alloc(0);
    }
  }

  #body(): Buffer {
    const kind = this.int(this.#gentle ? 60 : 6);
    if (kind > 2) return this.#pick(this.#bodies);
    if (kind === 0) return Buffer.alloc(0);
    if (kind === 1) return this.noise(this.int(60));
    const tokens = Array.from({ length: 1 + this.int(12) }, () =>
      this.int(3) === 0 ? this.int(256) : this.#pick(MSGPACK),
    );
    return Buffer.from(tokens);
  }

  #shuffleTail(frames: Buffer[]): void {
    for (let i = frames.length - 1; i > this.#corpus.greeting.length; i--) {
      const span = i - this.#corpus.greeting.length + 1;
      const other = this.#corpus.greeting.length + this.int(span);
      [frames[i], frames[other]] = [frames[other]!, frames[i]!];
    }
  }

  #stream(): number {
    if (this.int(this.#gentle ? 400 : 60) === 0) return this.#pick([0, 1, 513, 2 ** 32 - 1]);
    return this.#open.length > 0 ? this.#pick(this.#open).stream : 1 + this.int(MAX_STREAMS);
  }

  #pick<T>(of: readonly T[]): T {
    return of[this.int(of.length)]!;
  }
}
