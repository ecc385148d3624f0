// Hostile connections against a live node that a healthy peer keeps talking to. The enemy dials the
// node, or is dialled by it, and sends bytes; only its own connection may suffer.
import assert from 'node:assert/strict';
import { createPrng, FlotillaError, silentLogger } from '../../src/core/index.ts';
import { PeerHost } from '../../src/peer/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { cutFrames } from '../transcripts/frames.ts';
import { playScenario, SCENARIOS } from '../transcripts/scenarios.ts';
import { PipeNetwork } from './pipes.ts';
import type { PeerHostOptions, RpcHost } from '../../src/peer/index.ts';
import type { Corpus, Generator } from './generator.ts';
import type { RawEnd } from './pipes.ts';

const ENEMY = 'node-x';
const ENEMY_ADDRESS = 'host:1';
/** Turns of the event loop in which what a connection set off runs out. */
const SETTLE_TURNS = 2;

/** What the enemy replays: one end of every transcript's exchange, under the enemy's name. */
export async function recordCorpora(): Promise<{ dialler: Corpus; accepter: Corpus }> {
  const said = { dialler: [] as Buffer[][], accepter: [] as Buffer[][] };
  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    if (name === 'closing') continue;
    const bytes = { dialler: [] as Buffer[], accepter: [] as Buffer[] };
    for (const { from, to, bytes: part } of await playScenario(scenario)) {
      // The same names in the same place: as long as the enemy's.
      const renamed = replaceAll(part, from, ENEMY);
      if (from === 'node-a' && to === 'node-b') bytes.dialler.push(renamed);
      if (from === 'node-b' && to === 'node-a') bytes.accepter.push(renamed);
    }
    said.dialler.push(cutFrames(Buffer.concat(bytes.dialler)).frames);
    said.accepter.push(cutFrames(Buffer.concat(bytes.accepter)).frames);
  }
  const corpus = (all: Buffer[][]): Corpus => {
    // The greeting is the same in each scenario: its open, its data and its end.
    const greeting = all[0]!.slice(0, 3);
    const exchanges = all.map((frames) => frames.slice(3)).filter(({ length }) => length > 0);
    return { greeting, exchanges, frames: exchanges.flat() };
  };
  return { dialler: corpus(said.dialler), accepter: corpus(said.accepter) };
}

function replaceAll(bytes: Buffer, from: string, to: string): Buffer {
  return Buffer.from(bytes.toString('latin1').replaceAll(from, to), 'latin1');
}

/** Procedures that end in every way that a handler can end. */
export function offerProcedures(host: RpcHost): void {
  host.handle('echo', (request) => request);
  host.handle('later', async (request) => request);
  host.handle('never', () => new Promise(() => {}));
  host.handle('odd', () => undefined as never);
  host.handle('fail', () => {
    throw new FlotillaError('key_invalid', 'the key is no key');
  });
  host.handle('failLater', async () => {
    throw new Error('a failure');
  });
}

export class LivePeer {
  readonly clock = new SimulatedClock();
  readonly network = new PipeNetwork();
  readonly victim: PeerHost;
  readonly friend: PeerHost;
  readonly #disturbed: string[] = [];
  #address = '';
  #long: Promise<unknown> | undefined;
  #longSettled = false;
  #pings = 0;

  /** Small limits unless told otherwise, so that noise reaches them. */
  constructor(limits: PeerHostOptions = { maxMessageBytes: 1e6, maxPartialBytes: 1e6 }) {
    const host = (name: string, stream: number) => {
      const transport = this.network.transport(name);
      const prng = createPrng(7, stream);
      const options = { maxInboundCalls: 8, ...limits };
      return new PeerHost({ transport, clock: this.clock, log: silentLogger, prng }, options);
    };
    this.victim = host('node-a', 0);
    this.friend = host('node-b', 1);
  }

  async start(): Promise<void> {
    const { victim, friend, network } = this;
    offerProcedures(victim);
    victim.onControl('beat', () => {});
    victim.onRelay(() => {});
    friend.onRelay(() => {});
    victim.onDisconnect((peer) => {
      if (peer.name !== ENEMY) this.#disturbed.push(peer.name);
    });
    victim.onConnect((peer) => {
      if (peer.name !== ENEMY) return;
      // An application that reads some channels and asks for answers.
      peer.data.receive().catch(() => {});
      peer
        .tag(2n)
        .receive()
        .catch(() => {});
      for (let i = 0; i < 4; i++) victim.call(ENEMY, 'echo', { body: i }).catch(() => {});
      peer
        .tag(1n)
        .send(Buffer.alloc(10))
        .catch(() => {});
    });
    const { port } = await victim.listen({ host: 'host', port: 0 });
    this.#address = `host:${port}`;
    await this.clock.resolve(friend.connect(this.#address));
    network.listenRaw(ENEMY, ENEMY_ADDRESS, (end) => {
      this.#accepted = end;
    });
    const forever = { timeoutMs: 1e12 };
    this.#long = friend.call('node-a', 'never', { body: null }, forever).finally(() => {
      this.#longSettled = true;
    });
    this.#long.catch(() => {});
  }

  #accepted: RawEnd | undefined;

  /** Opens a hostile connection, in either direction. */
  async enemy(dials: boolean): Promise<RawEnd> {
    if (dials) return this.network.dialRaw(ENEMY, this.#address);
    this.#accepted = undefined;
    this.victim.connect(ENEMY_ADDRESS).catch(() => {});
    for (let turn = 0; this.#accepted === undefined && turn < 10; turn++) await Promise.resolve();
    // A dialler that waits for its next attempt does not come: then the enemy dials itself.
    return this.#accepted ?? this.network.dialRaw(ENEMY, this.#address);
  }

  /** Lets what the last connection set off run out, and lets time pass. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < SETTLE_TURNS; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.clock.advance(20);
  }

  /** The healthy peer is as it was: its connection, its open call, a new call. */
  async assertUnharmed(): Promise<void> {
    assert.deepEqual(this.#disturbed, [], 'only connections of the enemy ended');
    assert.equal(this.#longSettled, false, 'the open call of the healthy peer goes on');
    const ping = this.friend.call('node-a', 'echo', { body: ++this.#pings });
    assert.equal(((await this.clock.resolve(ping)) as { body: unknown }).body, this.#pings);
  }

  async stop(): Promise<void> {
    await this.clock.resolve(Promise.all([this.victim.stop(), this.friend.stop()]));
    await this.#long?.catch(() => {});
  }
}

/** Sends the frames of one connection until the node ends it. Frames that it was sent. */
export async function attack(
  peer: LivePeer,
  generator: Generator,
  options: { dials: boolean; onFrame(): void },
): Promise<number> {
  const end = await peer.enemy(options.dials);
  let sent = 0;
  // The greeting is answered before the rest, or all comes at once.
  const pause = generator.int(2) === 0 ? 3 : -1;
  for (const frame of generator.connection()) {
    if (end.over) break;
    sent++;
    options.onFrame();
    for (const piece of generator.cut(frame)) end.send(piece);
    if (sent === pause) await new Promise((resolve) => setImmediate(resolve));
    if (generator.int(16) === 0) await Promise.resolve();
  }
  end.leave();
  return sent;
}
