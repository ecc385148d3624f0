// Thousands of requests whose clients leave and whose engines fail at random moments leave no count
// behind and no memory. `FLOTILLA_STORM_REQUESTS=100000` makes it a long one,
// `FLOTILLA_STORM_SEED` plays one again.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { createPrng } from '../../src/core/index.ts';
import { usedBytes } from '../fuzz/run.ts';
import { withEngines } from './engine-site.ts';
import { storm, StormEngine } from './storm.ts';
import { withLinkedEngines } from './linked-site.ts';
import type { TestContext } from 'node:test';
import type { EngineSite } from './engine-site.ts';
import type { LinkedSite } from './linked-site.ts';

const REQUESTS = Number(process.env['FLOTILLA_STORM_REQUESTS'] ?? 5_000);
const LINKED_REQUESTS = Math.ceil(REQUESTS / 2.5);
const SEED = Number(process.env['FLOTILLA_STORM_SEED'] ?? randomInt(2 ** 32 - 1));
const CLIENTS = 300;
const ROUNDS = 4;
const MIB = 1024 * 1024;
/** What compiled code and kept connections may still add after the first round. */
const MAX_GROWTH_BYTES = 6 * MIB;
const SETTLE_MS = 5_000;

const SETUP = {
  routing: { policy: 'prefix-affinity', slowStart: { windowMs: 0 } },
  options: {
    retries: { baseMs: 2, reservePerSecond: 100 },
    hedging: { enabled: true, minDelayMs: 5, budget: 0.2 },
    // Fewer places than clients: some wait, and some are refused.
    admission: { queue: { maxRunning: 4, maxWaiting: 4 } },
  },
} as const;

function countsOf(site: EngineSite | LinkedSite, engines: readonly StormEngine[]): object {
  const { gateway, router } = site;
  const zeros = engines.map(() => 0);
  const states = router.states(performance.now());
  return {
    inFlight: gateway.inFlight,
    queued: gateway.queued,
    running: gateway.running,
    ownInFlight: states.map(({ ownInFlight }) => ownInFlight),
    waitingTokens: states.map(({ waitingTokens }) => waitingTokens),
    engines: engines.map(({ running }) => running),
    calls: 'service' in site ? site.engines.map(({ name }) => site.service.running(name)) : zeros,
  };
}

/** Engines learn of the last clients' leaving a moment later. */
async function assertIdle(site: EngineSite, engines: readonly StormEngine[]): Promise<void> {
  const zeros = engines.map(() => 0);
  const idle = JSON.stringify({
    ...{ inFlight: 0, queued: 0, running: 0 },
    ...{ ownInFlight: zeros, waitingTokens: zeros, engines: zeros, calls: zeros },
  });
  const endMs = performance.now() + SETTLE_MS;
  let counts = '';
  do {
    counts = JSON.stringify(countsOf(site, engines));
    if (counts === idle) return;
    await new Promise((resolve) => setImmediate(resolve));
  } while (performance.now() < endMs);
  assert.equal(counts, idle);
}

async function weather(
  t: TestContext,
  requests: number,
  withSite: typeof withEngines,
): Promise<void> {
  t.diagnostic(`seed ${SEED}`);
  const prng = createPrng(SEED);
  const engines = [1, 2, 3].map((stream) => new StormEngine(createPrng(SEED, stream)));
  const handlers = engines.map(({ handler }) => handler);
  await withSite({ ...SETUP, engines: handlers }, async (site) => {
    const port = Number(new URL(site.url).port);
    const all = new Map<string, number>();
    const used: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const storming = { port, requests: Math.ceil(requests / ROUNDS), clients: CLIENTS, prng };
      for (const [outcome, count] of await storm(storming)) {
        all.set(outcome, (all.get(outcome) ?? 0) + count);
      }
      await assertIdle(site, engines);
      used.push(usedBytes());
    }
    t.diagnostic(JSON.stringify(Object.fromEntries([...all].sort())));
    t.diagnostic(`MiB in use: ${used.map((bytes) => (bytes / MIB).toFixed(1)).join(', ')}`);
    const grownBytes = used.at(-1)! - used[0]!;
    assert.ok(grownBytes < MAX_GROWTH_BYTES, `memory grew by ${grownBytes} bytes`);
    assert.equal(all.get('nothing') ?? 0, 0, 'whoever stays hears an answer');
    for (const seen of ['200', '503', 'left: answer', 'left in its body']) {
      assert.ok((all.get(seen) ?? 0) > 0, `nobody got "${seen}"`);
    }
    assert.deepEqual(site.logged, [], 'nothing failed unexpectedly');
  });
}

test(`${REQUESTS} requests with random aborts leave counts at 0 and memory flat`, (t) =>
  weather(t, REQUESTS, withEngines));

test(`${LINKED_REQUESTS} to engines behind another node do, too`, (t) =>
  weather(t, LINKED_REQUESTS, withLinkedEngines));
