// Random histories of faults, each from a seed: whatever happens, calls end in time and lanes keep
// their order. A failure names its seed, which replays it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPrng, DEADLINE_TICK_MS, hasCode } from '../../src/core/index.ts';
import { SimulatedFleet } from '../../src/testing/index.ts';
import type { Prng } from '../../src/core/index.ts';
import type { PeerHost } from '../../src/peer/index.ts';

const NAMES = ['node-a', 'node-b', 'node-c'];
const SEEDS = 40;
const STEPS = 60;

/** How a call of a living node may fail here; anything else is a bug. */
const EXPECTED = ['deadline_exceeded', 'peer_disconnected', 'peer_unreachable'];

interface Call {
  readonly caller: Life;
  readonly deadlineMs: number;
  settledMs: number | undefined;
  outcome: unknown;
}

/** A life of a node. */
interface Life {
  /** Its name and a number that no other life has. */
  readonly id: string;
  readonly name: string;
  readonly host: PeerHost;
  dead: boolean;
  thawMs: number;
  sent: number;
}

class History {
  readonly fleet: SimulatedFleet;
  readonly #prng: Prng;
  readonly #lives = new Map<string, Life>();
  readonly #calls: Call[] = [];
  /** The last number heard, by lane, sender's life and receiver's life. */
  readonly #heard = new Map<string, number>();
  #births = 0;

  constructor(seed: number) {
    this.#prng = createPrng(seed, 1000);
    const rare = (most: number) => (this.#prng.int(2) === 0 ? 0 : this.#prng.next() * most);
    this.fleet = new SimulatedFleet({
      seed,
      network: {
        delayMs: 1 + this.#prng.int(20),
        jitterMs: rare(20),
        loss: rare(0.2),
        duplication: rare(0.2),
        reordering: rare(0.3),
        cut: this.#prng.int(2) === 0,
        independentStreams: this.#prng.int(2) === 0,
        linkTimeoutMs: 3000,
      },
    });
  }

  async play(): Promise<void> {
    for (const name of NAMES) await this.#bear(name);
    for (let step = 0; step < STEPS; step++) {
      await this.#step();
      await this.fleet.clock.run(this.#prng.int(300));
    }
    await this.#recover();
    await this.fleet[Symbol.asyncDispose]();
  }

  async #bear(name: string): Promise<void> {
    const host = await this.fleet.start(name);
    const birth = ++this.#births;
    const hear = (lane: string, body: unknown) => {
      const [sender, number] = body as [string, number];
      const key = `${lane} ${sender}>${name} ${birth}`;
      const before = this.#heard.get(key) ?? 0;
      assert.ok(number > before, `${key}: ${number} came after ${before}`);
      this.#heard.set(key, number);
    };
    host.handle('note', ({ body }) => {
      hear('requests', body);
      return { body };
    });
    host.onControl('beat', (body) => hear('control', body));
    this.#lives.set(name, { id: `${name}/${birth}`, name, host, dead: false, thawMs: 0, sent: 0 });
  }

  async #step(): Promise<void> {
    const { network } = this.fleet;
    const [one, two] = this.#pair();
    const life = this.#lives.get(one)!;
    switch (this.#prng.int(14)) {
      case 0:
        network.partition(one, two);
        return;
      case 1:
      case 2:
        network.heal(one, two);
        return;
      case 3: {
        const forMs = this.#prng.int(4000);
        life.thawMs = Math.max(life.thawMs, this.fleet.clock.now() + forMs);
        network.freeze(one, forMs);
        return;
      }
      case 4:
        if (life.dead) return;
        life.dead = true;
        this.fleet.crash(one, this.#prng.int(2) === 0 ? {} : { resetAfterMs: 100 });
        return;
      case 5:
      case 6:
        if (life.dead) await this.#bear(one);
        return;
      case 7:
        network.break(one, two);
        return;
      default:
        if (!life.dead) this.#send(life, two);
    }
  }

  #send(life: Life, to: string): void {
    const { clock } = this.fleet;
    for (let i = this.#prng.int(5); i >= 0; i--) {
      const body = [life.id, ++life.sent];
      life.host.sendControl(to, 'beat', body);
      const timeoutMs = 1 + this.#prng.int(5000);
      const deadlineMs = clock.now() + timeoutMs;
      const call: Call = { caller: life, deadlineMs, settledMs: undefined, outcome: undefined };
      const settle = (outcome: unknown) => {
        call.settledMs = clock.now();
        call.outcome = outcome;
      };
      life.host.call(to, 'note', { body }, { timeoutMs }).then(settle, settle);
      this.#calls.push(call);
    }
  }

  /** Ends every fault: what is open settles, and every pair can talk again. */
  async #recover(): Promise<void> {
    const { network, clock } = this.fleet;
    for (const from of NAMES) for (const to of NAMES) network.heal(from, to);
    for (const name of NAMES) {
      network.thaw(name);
      if (this.#lives.get(name)!.dead) await this.#bear(name);
    }
    await clock.run(6000);
    for (const { caller, deadlineMs, settledMs, outcome } of this.#calls) {
      if (caller.dead) continue;
      if (outcome instanceof Error) assert.ok(hasCode(outcome, ...EXPECTED), outcome);
      const limitMs = Math.max(deadlineMs, caller.thawMs) + 2 * DEADLINE_TICK_MS;
      assert.ok(settledMs !== undefined && settledMs <= limitMs, `${settledMs} of ${deadlineMs}`);
    }
    for (const from of NAMES) {
      for (const to of NAMES) await this.#reaches(this.#lives.get(from)!, to);
    }
  }

  async #reaches(life: Life, to: string): Promise<void> {
    for (let attempt = 0; attempt < 10; attempt++) {
      const body = [life.id, ++life.sent];
      const call = life.host.call(to, 'note', { body }, { timeoutMs: 20_000 });
      const failure = await this.fleet.settle(
        call.then(
          () => undefined,
          (error: unknown) => error,
        ),
      );
      if (failure === undefined) return;
      assert.ok(hasCode(failure, ...EXPECTED), String(failure));
    }
    assert.fail(`${life.name} does not reach ${to} again`);
  }

  #pair(): [string, string] {
    const from = this.#prng.int(NAMES.length);
    const to = (from + 1 + this.#prng.int(NAMES.length - 1)) % NAMES.length;
    return [NAMES[from]!, NAMES[to]!];
  }
}

test(`${SEEDS} histories of faults: calls end by their deadlines, lanes keep order`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const history = new History(seed);
    await history.play().catch((error: unknown) => {
      throw new Error(`seed ${seed} (trace ${history.fleet.network.traceHash})`, { cause: error });
    });
  }
});
