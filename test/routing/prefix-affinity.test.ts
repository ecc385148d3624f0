import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createPrng } from '../../src/core/index.ts';
import { Router } from '../../src/routing/index.ts';
import { loadOf } from '../load/loads.ts';
import { keyOfMessages, keyOfText, textOf } from './prompts.ts';
import type { Choice, PromptKey, RouterOptions } from '../../src/routing/index.ts';

/** Tokens of one character more or less must not decide a test. */
const RATE = 8;
const OPTIONS: RouterOptions = {
  index: { maxBytes: 2 ** 20 },
  slowStart: { windowMs: 0 },
  affinity: { inFlightTokens: 0, homeSlackTokens: 0 },
  prefill: { tokensPerMs: RATE },
};

function routerOf(count: number, options: RouterOptions = OPTIONS, seed = 1): Router {
  const router = new Router({ prng: createPrng(seed) }, options);
  for (let i = 0; i < count; i++) router.add({ id: `e${i}`, node: `n${i}`, models: ['m'] }, 0);
  return router;
}

function send(router: Router, prompt: PromptKey, nowMs = 0): Choice {
  const choice = router.choose({ model: 'm', prompt }, nowMs)!;
  assert.equal(router.dispatched(choice, nowMs), true);
  return choice;
}

/** Sends a prompt and ends it at once. */
function serve(router: Router, prompt: PromptKey, nowMs = 0): Choice {
  const choice = send(router, prompt, nowMs);
  router.settled(choice, 'ok', nowMs);
  return choice;
}

/** Puts about `tokens` in front of `id`, which is there until they are settled. */
function burden(router: Router, id: string, tokens: number): Choice {
  const others = router.states(0).filter(({ endpoint }) => endpoint !== id);
  for (const { endpoint } of others) router.drain(endpoint, true);
  const choice = send(router, keyOfText(textOf(9_999, 4 * tokens)));
  for (const { endpoint } of others) router.drain(endpoint, false);
  return choice;
}

test('a conversation stays with the holder of its cache', () => {
  const router = routerOf(16);
  const system = ['system', textOf(1, 3_000)] as const;
  for (let conversation = 0; conversation < 20; conversation++) {
    const messages: (readonly [string, string])[] = [system];
    let holder: string | undefined;
    for (let turn = 0; turn < 6; turn++) {
      messages.push(['user', textOf(1_000 * conversation + turn, 700)]);
      const choice = serve(router, keyOfMessages(...messages), turn);
      if (turn > 0) assert.deepEqual([choice.endpoint.id, choice.reason], [holder, 'prefix']);
      holder = choice.endpoint.id;
      messages.push(['assistant', textOf(500_000 + 1_000 * conversation + turn, 900)]);
    }
  }
});

test('it is released when waiting there takes longer than reading the same elsewhere', () => {
  const blocks = fc.integer({ min: 8, max: 60 });
  fc.assert(
    fc.property(blocks, fc.integer({ min: 0, max: 4_000 }), (cachedBlocks, waiting) => {
      const router = routerOf(3);
      const prompt = keyOfText(textOf(1, 256 * cachedBlocks + 100));
      const holder = serve(router, prompt).endpoint.id;
      burden(router, holder, waiting);
      const ahead = router.states(0).find(({ endpoint }) => endpoint === holder)!.waitingTokens;
      const choice = router.choose({ model: 'm', prompt }, 0)!;
      const saved = 64 * cachedBlocks;
      if (ahead < saved) assert.deepEqual([choice.endpoint.id, choice.reason], [holder, 'prefix']);
      if (ahead <= saved) return;
      assert.notEqual(choice.endpoint.id, holder);
      assert.notEqual(choice.reason, 'prefix');
    }),
  );
});

test('a conversation is released a little later, not for every short queue', () => {
  const [system, question] = [
    ['system', textOf(1, 4_000)],
    ['user', textOf(2, 12_000)],
  ] as const;
  const later = keyOfMessages(system, question, ['assistant', 'yes'], ['user', 'and?']);
  for (const [over, stays] of [
    [1_900, true],
    [2_200, false],
  ] as const) {
    const router = routerOf(3);
    const { endpoint, promptTokens } = serve(router, keyOfMessages(system, question));
    burden(router, endpoint.id, promptTokens + over);
    const choice = router.choose({ model: 'm', prompt: later }, 0)!;
    assert.equal(choice.endpoint.id === endpoint.id, stays, String(over));
  }
});

test('once released it does not go back and forth', () => {
  const router = routerOf(4);
  const prompt = keyOfText(textOf(1, 10_000));
  const first = serve(router, prompt).endpoint.id;
  const weight = burden(router, first, 10_000);
  const second = serve(router, prompt).endpoint.id;
  assert.notEqual(second, first);
  for (let i = 0; i < 10; i++) assert.equal(serve(router, prompt).endpoint.id, second);
  router.settled(weight, 'ok', 0);
});

test('agents that begin together on one task stay together while that is no slower', () => {
  const router = routerOf(8, { slowStart: { windowMs: 0 } });
  const task = keyOfMessages(['system', textOf(1, 12_000)], ['user', textOf(2, 4_000)]);
  const ids = Array.from({ length: 4 }, () => send(router, task).endpoint.id);
  assert.equal(new Set(ids).size, 1);
});

test('a flash crowd on one prefix spreads over all endpoints', () => {
  for (const running of [64, 256]) {
    const router = routerOf(8, { slowStart: { windowMs: 0 } });
    const shared = textOf(1, 24_000);
    const counts = new Map<string, number>();
    const choices: Choice[] = [];
    for (let i = 0; i < 2_000; i++) {
      const question = ['user', textOf(i, 400)] as const;
      const choice = send(router, keyOfMessages(['system', shared], question), i);
      const { id } = choice.endpoint;
      counts.set(id, (counts.get(id) ?? 0) + 1);
      choices.push(choice);
      if (choices.length > running) router.settled(choices.shift()!, 'ok', i);
    }
    const largest = Math.max(...counts.values()) / (2_000 / 8);
    assert.ok(counts.size === 8 && largest <= 1.5, `${running}: ${JSON.stringify([...counts])}`);
  }
});

test('gateways that share no state send a new conversation to the same endpoint', () => {
  const gateways = [1, 2, 3].map((seed) => routerOf(8, { slowStart: { windowMs: 0 } }, seed));
  const homes = new Map<string, number>();
  for (let i = 0; i < 400; i++) {
    const prompt = keyOfMessages(['system', textOf(1, 800)], ['user', textOf(i + 2, 300)]);
    const ids = gateways.map((gateway) => gateway.choose({ model: 'm', prompt }, 0)!.endpoint.id);
    assert.equal(new Set(ids).size, 1);
    homes.set(ids[0]!, (homes.get(ids[0]!) ?? 0) + 1);
  }
  assert.equal(homes.size, 8);
});

test('a turn whose history another gateway sent goes to its home, unless that is too busy', () => {
  const options = { slowStart: { windowMs: 0 } };
  const [first, second] = [routerOf(8, options, 1), routerOf(8, options, 2)];
  const opening = [['user', textOf(1, 6_000)]] as const;
  const home = serve(first!, keyOfMessages(...opening)).endpoint.id;
  const later = keyOfMessages(...opening, ['assistant', textOf(2, 900)], ['user', 'and?']);
  const choice = second!.choose({ model: 'm', prompt: later }, 0)!;
  assert.deepEqual([choice.endpoint.id, choice.reason], [home, 'home']);
  burden(second!, home, 8_000);
  assert.notEqual(second!.choose({ model: 'm', prompt: later }, 0)!.endpoint.id, home);
});

test('an engine that was started anew, or left, is not taken for a holder', () => {
  const router = routerOf(4);
  const prompt = keyOfText(textOf(1, 10_000));
  const { id } = serve(router, prompt).endpoint;
  const cachedAt = () =>
    router.explain({ model: 'm', prompt }, 0).candidates.map(({ cachedTokens }) => cachedTokens);
  assert.equal(Math.max(...cachedAt()), 64 * 39);
  router.cacheLost(id);
  assert.equal(Math.max(...cachedAt()), 0);
  const next = serve(router, prompt).endpoint;
  router.remove(next.id);
  router.add(next, 0);
  assert.equal(Math.max(...cachedAt()), 0);
});

test('a slow engine is found out by its first bytes, and asked again when it has recovered', () => {
  const router = routerOf(2);
  const slow = (id: string) => id === 'e0';
  let nowMs = 0;
  const shares = (slowRate: number, requests: number) => {
    let toSlow = 0;
    for (let i = 0; i < requests; i++) {
      const choices = [0, 1].map((half) =>
        send(router, keyOfText(textOf(2 * nowMs + half + i, 4_000)), nowMs),
      );
      for (const choice of choices) {
        const isSlow = slow(choice.endpoint.id);
        if (isSlow) toSlow++;
        const tookMs = choice.promptTokens / (isSlow ? slowRate : RATE);
        router.firstByte(choice, nowMs + tookMs);
        router.settled(choice, 'ok', nowMs + tookMs);
      }
      nowMs += 500;
    }
    return toSlow / (2 * requests);
  };
  assert.ok(shares(RATE / 10, 200) < 0.2);
  shares(RATE, 200);
  assert.ok(shares(RATE, 200) > 0.35);
});

test('answers that are not streamed wait no longer than their prefill', () => {
  const router = routerOf(1);
  const prompt = keyOfText(textOf(1, 32_000));
  const choice = router.choose({ model: 'm', prompt, streamed: false }, 0)!;
  router.dispatched(choice, 0);
  const waiting = (nowMs: number) => router.states(nowMs)[0]!.waitingTokens;
  assert.deepEqual([waiting(0), waiting(500), waiting(1_000)], [8_000, 4_000, 0]);
  router.settled(choice, 'ok', 20_000);
  assert.equal(waiting(20_000), 0);
});

test('what others put on a node counts; without a prompt the least load decides', () => {
  const router = routerOf(3, { slowStart: { windowMs: 0 } });
  const smoothed = { cpu: 0, memory: 0, sustainedCpu: 0, sustainedMemory: 0 };
  for (const [node, inFlight] of [
    ['n0', 20],
    ['n1', 0],
    ['n2', 20],
  ] as const) {
    router.hear(node, { record: loadOf(node, { inFlight }), receivedAtMs: 0, ...smoothed });
  }
  for (let i = 0; i < 20; i++) {
    const choice = router.choose({ model: 'm' }, 0)!;
    assert.deepEqual([choice.endpoint.id, choice.reason], ['e1', 'load']);
  }
});
