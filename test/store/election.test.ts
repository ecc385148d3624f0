// Elections under faults, simulated: at no moment of true time do two processes that run hold a
// term, epochs only grow, and once the faults are over there is a holder.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPrng } from '../../src/core/index.ts';
import { Election, EpochFence } from '../../src/store/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { FaultyStore, SimulatedProcess } from './election-world.ts';
import type { Prng } from '../../src/core/index.ts';
import type { Term } from '../../src/store/index.ts';
import type { Faults } from './election-world.ts';

const SEEDS = 200;
const FIRST_SEED = Number(process.env['FLOTILLA_ELECTION_SEED'] ?? 1);
const COUNT = Number(process.env['FLOTILLA_ELECTION_SEEDS'] ?? SEEDS);

const TTL_MS = 1_000;
const KEY = 'leader';
/** How long faults go on, and how long the world is then left alone. */
const FAULTS_MS = 12_000;
const CALM_MS = 8_000;
const STEP_MS = 5;

interface Candidate {
  readonly process: SimulatedProcess;
  readonly election: Election;
}

class World {
  readonly clock = new SimulatedClock();
  readonly store = new MemoryStore(this.clock);
  readonly fence = new EpochFence();
  readonly faults: Faults;
  readonly candidates: Candidate[];
  readonly told: Term[] = [];
  readonly #prng: Prng;
  readonly #honest: boolean;

  constructor(seed: number, honest = true) {
    const prng = createPrng(seed);
    this.#prng = prng;
    this.#honest = honest;
    this.faults = { share: 0.3 * prng.next(), slowMs: 2 * TTL_MS * prng.next() };
    this.candidates = Array.from({ length: 2 + prng.int(3) }, (_, i) => {
      // Clocks of processes and store may differ by a quarter; the fence leaves room for 40 %.
      const process = new SimulatedProcess(this.clock, 0.8 + 0.4 * prng.next());
      const components = { world: this.clock, process, store: this.store, prng };
      const store = new FaultyStore(components, this.faults);
      const election = new Election(
        { store, clock: process, prng: createPrng(seed, i + 1) },
        { key: KEY, name: `node-${i}`, ttlMs: TTL_MS },
      );
      election.onChange((term) => term && this.#elected(term));
      return { process, election };
    });
  }

  start(): void {
    for (const { election } of this.candidates) election.start();
  }

  holders(): Term[] {
    return this.candidates.flatMap(({ process, election }) => {
      const term = process.stalled ? undefined : election.term();
      return term === undefined ? [] : [term];
    });
  }

  /** What has to hold at every moment. */
  check(): void {
    const holders = this.holders();
    if (!this.#honest) return;
    assert.ok(holders.length <= 1, `${holders.length} holders at ${this.clock.now()} ms`);
    for (const { epoch } of holders) this.fence.admit(epoch);
  }

  #elected(term: Term): void {
    const last = this.told.at(-1)?.epoch ?? 0;
    assert.ok(!this.told.some(({ epoch }) => epoch === term.epoch), 'an epoch came twice');
    if (this.#honest) assert.ok(term.epoch > last, `epoch ${term.epoch} after ${last}`);
    this.told.push(term);
  }

  /** Lets `durationMs` pass, with stalls and interventions when `faulty`. */
  async run(durationMs: number, faulty: boolean): Promise<void> {
    for (const endMs = this.clock.now() + durationMs; this.clock.now() < endMs; ) {
      if (faulty) this.#disturb();
      // Timers of one step run in one go, as after a short pause of the whole world.
      this.clock.advance(STEP_MS);
      await new Promise(setImmediate);
      this.check();
    }
  }

  #disturb(): void {
    const draw = this.#prng.int(1_500 / STEP_MS);
    const { process, election } = this.candidates[this.#prng.int(this.candidates.length)]!;
    if (draw === 0 && !process.stalled) {
      process.stalled = true;
      const lastsMs = 2.5 * TTL_MS * this.#prng.next();
      this.clock.schedule(lastsMs, () => {
        // The first thing that runs after a stall may be user code that asks for the term.
        process.stalled = false;
        this.check();
        process.resume();
      });
    }
    if (draw === 1) void election.stop().then(() => election.start());
    if (draw === 2) this.faults.share = this.#prng.int(4) === 0 ? 1 : 0.3 * this.#prng.next();
    if (draw === 3 && !this.#honest) {
      for (let id = 1; id < 200; id++) this.store.revokeLease(`lease-${id}`);
    }
  }

  async calm(): Promise<void> {
    this.faults.share = 0;
    await this.run(CALM_MS, false);
    assert.equal(this.holders().length, 1, 'no holder long after the last fault');
    const [holder] = this.holders();
    assert.equal(this.store.entries.get(KEY)?.revision, holder!.epoch);
    for (const { election } of this.candidates)
      assert.equal((await this.#leader(election)).epoch, holder!.epoch);
  }

  async #leader(election: Election) {
    return (await this.clock.resolve(election.leader()))!;
  }
}

async function simulate(seed: number, honest: boolean): Promise<number> {
  const world = new World(seed, honest);
  try {
    world.start();
    await world.run(FAULTS_MS, true);
    await world.calm();
  } catch (error) {
    throw new Error(`FLOTILLA_ELECTION_SEED=${seed} (honest: ${honest}) replays it`, {
      cause: error,
    });
  }
  return world.told.length;
}

test('no two hold a term at once, epochs only grow, and a holder is found', async () => {
  let terms = 0;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + COUNT; seed++) {
    terms += await simulate(seed, true);
  }
  assert.ok(terms > 2 * COUNT, `only ${terms} terms in ${COUNT} runs`);
});

test('a store that ends leases too early gives no epoch twice', async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + COUNT / 4; seed++) await simulate(seed, false);
});

test('the fence refuses what is older than the newest it has seen, and what is no epoch', () => {
  const fence = new EpochFence(3);
  assert.throws(() => fence.admit(2), { code: 'epoch_stale', details: { epoch: 2, current: 3 } });
  fence.admit(3);
  fence.admit(7);
  fence.admit(7);
  for (const epoch of [6, Number.NaN]) {
    assert.throws(() => fence.admit(epoch), { code: 'epoch_stale' });
  }
  assert.equal(fence.current, 7);
});

test('options outside their rules are refused', () => {
  const clock = new SimulatedClock();
  const components = { store: new MemoryStore(clock), clock, prng: createPrng(1) };
  const options = { key: KEY, name: 'a' };
  assert.throws(() => new Election(components, { ...options, key: '' }), { code: 'key_invalid' });
  for (const wrong of [{ name: '' }, { ttlMs: 99 }, { ttlMs: Number.NaN }]) {
    assert.throws(() => new Election(components, { ...options, ...wrong }), {
      code: 'invalid_option',
    });
  }
});

test('a holder whose key was deleted by somebody else gives up, and is elected anew', async () => {
  const clock = new SimulatedClock();
  const store = new MemoryStore(clock);
  const components = { store, clock, prng: createPrng(1) };
  const election = new Election(components, { key: KEY, name: 'a', ttlMs: TTL_MS });
  const changes: (number | undefined)[] = [];
  election.onChange((term) => changes.push(term?.epoch));
  election.start();
  await clock.until(() => election.term() !== undefined);
  const { epoch } = election.term()!;
  await store.compareAndSwap([], [{ delete: KEY }]);
  await clock.until(() => changes.length === 3);
  assert.deepEqual(changes.slice(0, 2), [epoch, undefined]);
  assert.ok(changes[2]! > epoch);
  await clock.resolve(election.stop());
  assert.equal(store.entries.has(KEY), false);
  assert.equal(election.term(), undefined);
});
