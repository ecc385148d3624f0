import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createPrng } from '../../src/core/index.ts';
import { POLICY_NAMES, routeHeader, Router } from '../../src/routing/index.ts';
import { loadOf } from '../load/loads.ts';
import { keyOfText, textOf } from './prompts.ts';
import type { KnownLoad } from '../../src/load/index.ts';
import type { Choice, Result, RouterOptions } from '../../src/routing/index.ts';

function routerOf(count: number, options: RouterOptions = {}, seed = 1): Router {
  const router = new Router(
    { prng: createPrng(seed) },
    { index: { maxBytes: 2 ** 20 }, ...options },
  );
  for (let i = 0; i < count; i++) router.add({ id: `e${i}`, node: `n${i}`, models: ['m'] }, 0);
  return router;
}

/** Chooses and counts it. */
function send(router: Router, request: Parameters<Router['choose']>[0], nowMs: number): Choice {
  const choice = router.choose(request, nowMs)!;
  assert.equal(router.dispatched(choice, nowMs), true);
  return choice;
}

function shares(router: Router, requests: number, nowMs = 0): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i < requests; i++) {
    const choice = send(router, { model: 'm', session: `s${i}` }, nowMs);
    router.settled(choice, 'ok', nowMs);
    counts.set(choice.endpoint.id, (counts.get(choice.endpoint.id) ?? 0) + 1);
  }
  return counts;
}

function known(node: string, fields = {}): KnownLoad {
  const smoothed = { cpu: 0, memory: 0, sustainedCpu: 0, sustainedMemory: 0 };
  return { record: loadOf(node, fields), receivedAtMs: 0, ...smoothed };
}

/** Has `id` fail five times in a row; others' requests end without a verdict. */
function fail(router: Router, id: string, nowMs: number): void {
  let failures = 0;
  for (let i = 0; failures < 5 && i < 1_000; i++) {
    const choice = send(router, { model: 'm', session: `f${i}` }, nowMs);
    const isTarget = choice.endpoint.id === id;
    router.settled(choice, isTarget ? 'failed' : 'abandoned', nowMs);
    if (isTarget) failures++;
  }
  assert.equal(failures, 5);
}

type Operation =
  | { readonly kind: 'send'; readonly key: number; readonly streamed: boolean }
  | { readonly kind: 'byte' | Result; readonly which: number }
  | { readonly kind: 'remove' | 'add' | 'drain' | 'hear'; readonly which: number };

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ kind: fc.constant('send' as const), key: fc.nat(5), streamed: fc.boolean() }),
  fc.record({
    kind: fc.constantFrom('byte' as const, 'ok' as const, 'failed' as const, 'abandoned' as const),
    which: fc.nat(99),
  }),
  fc.record({
    kind: fc.constantFrom('remove' as const, 'add' as const, 'drain' as const, 'hear' as const),
    which: fc.nat(3),
  }),
);

const KEYS = Array.from({ length: 6 }, (_, at) => keyOfText(textOf(at % 3, 256 * (3 + 9 * at))));

test('whatever the order of sending, aborting, failing and leaving, counters end at 0', () => {
  const policies = fc.constantFrom(...POLICY_NAMES);
  fc.assert(
    fc.property(policies, fc.array(operation, { maxLength: 120 }), (policy, operations) => {
      const router = routerOf(4, { policy, breaker: { openMs: 20 } });
      const choices: Choice[] = [];
      let nowMs = 0;
      const perform = (step: Operation) => {
        if (step.kind === 'send') {
          const request = { model: 'm', prompt: KEYS[step.key]!, streamed: step.streamed };
          const choice = router.choose(request, nowMs);
          if (choice !== undefined && router.dispatched(choice, nowMs)) choices.push(choice);
          return;
        }
        const id = `e${step.which}`;
        if (step.kind === 'remove') router.remove(id);
        else if (step.kind === 'add') {
          router.add({ id, node: `n${step.which}`, models: ['m'] }, nowMs);
        } else if (step.kind === 'drain') router.drain(id, step.which % 2 === 0);
        else if (step.kind === 'hear') router.hear(`n${step.which}`, known(`n${step.which}`));
        else if (choices.length > 0) {
          // Not taken out: it may be settled again, or answer after its end.
          const choice = choices[step.which % choices.length]!;
          if (step.kind === 'byte') router.firstByte(choice, nowMs);
          else router.settled(choice, step.kind, nowMs);
        }
      };
      for (const step of operations) {
        perform(step);
        nowMs += 3;
        for (const { ownInFlight, waitingTokens } of router.states(nowMs)) {
          assert.ok(ownInFlight >= 0 && waitingTokens >= 0);
        }
      }
      for (const choice of choices) router.settled(choice, 'abandoned', nowMs);
      for (const { ownInFlight, waitingTokens } of router.states(nowMs + 60_000)) {
        assert.deepEqual([ownInFlight, waitingTokens], [0, 0]);
      }
    }),
  );
});

test('every policy serves a model from those who have it, and from nobody else', () => {
  for (const policy of POLICY_NAMES) {
    const router = routerOf(4, { policy });
    router.add({ id: 'other', node: 'n0', models: ['x', 'y'] }, 0);
    assert.deepEqual(router.models(), ['m', 'x', 'y']);
    const chosen = shares(router, 200);
    assert.deepEqual([...chosen.keys()].sort(), ['e0', 'e1', 'e2', 'e3'], policy);
    assert.equal(router.choose({ model: 'y' }, 0)!.endpoint.id, 'other');
    assert.equal(router.choose({ model: 'none' }, 0), undefined);
  }
});

test('an endpoint that is added again changes its models and keeps its counts', () => {
  const router = routerOf(2, { policy: 'round-robin' });
  const running = send(router, { model: 'm' }, 0);
  router.add({ id: 'e0', node: 'n0', models: ['z'] }, 0);
  assert.deepEqual(router.models(), ['m', 'z']);
  assert.deepEqual([...shares(router, 10).keys()], ['e1']);
  router.settled(running, 'ok', 1);
  assert.ok(router.states(1).every(({ ownInFlight }) => ownInFlight === 0));
});

test('round-robin takes turns, weighted follows capacity, least load avoids who is busy', () => {
  assert.deepEqual(
    [...shares(routerOf(4, { policy: 'round-robin' }), 400).values()],
    [100, 100, 100, 100],
  );
  const weighted = routerOf(2, { policy: 'weighted' });
  weighted.add({ id: 'e1', node: 'n1', models: ['m'], capacity: 3 }, 0);
  const share = shares(weighted, 4_000).get('e1')! / 4_000;
  assert.ok(Math.abs(share - 0.75) < 0.03, String(share));
  const busy = routerOf(3, { policy: 'least-load' });
  busy.hear('n0', known('n0', { inFlight: 50 }));
  busy.hear('n1', known('n1'));
  busy.hear('n2', known('n2'));
  assert.equal(shares(busy, 100).get('e0'), undefined);
});

test('the load of a node is shared out among its endpoints', () => {
  const router = routerOf(0);
  for (const id of ['a', 'b']) router.add({ id, node: 'n', models: ['m'] }, 0);
  router.hear('n', known('n', { inFlight: 6, queued: 2 }));
  assert.deepEqual(
    router.states(0).map(({ inFlight }) => inFlight),
    [4, 4],
  );
  router.hear('n', undefined);
  router.hear('unknown', known('unknown'));
  assert.deepEqual(
    router.states(0).map(({ inFlight }) => inFlight),
    [0, 0],
  );
});

test('consistent hashing: gateways agree, and no endpoint is over 1.25 times its share', () => {
  const options: RouterOptions = { policy: 'consistent-hash' };
  const [one, two] = [routerOf(8, options, 1), routerOf(8, options, 2)];
  for (let i = 0; i < 500; i++) {
    const request = { model: 'm', session: `s${i}` };
    const [a, b] = [one.choose(request, 0)!, two.choose(request, 0)!];
    assert.equal(a.endpoint.id, b.endpoint.id);
    assert.equal(a.reason, 'home');
  }
  fc.assert(
    fc.property(fc.array(fc.nat(3), { maxLength: 200 }), fc.nat(9), (sessions, leave) => {
      const router = routerOf(8, options);
      const running: Choice[] = [];
      sessions.forEach((session, at) => {
        running.push(send(router, { model: 'm', session: `s${session}` }, 0));
        if (at % (leave + 2) === 0) router.settled(running.shift()!, 'ok', 0);
        const cap = Math.ceil((1.25 * running.length) / 8);
        const last = router
          .states(0)
          .find(({ endpoint }) => endpoint === running.at(-1)?.endpoint.id);
        if (last && at % (leave + 2) !== 0) assert.ok(last.ownInFlight <= cap);
      });
    }),
  );
});

test('a key is the session, else the user, else the prompt', () => {
  const router = routerOf(8, { policy: 'consistent-hash' });
  const prompt = keyOfText(textOf(1, 5_000));
  const of = (request: object) => router.choose({ model: 'm', ...request }, 0)!;
  const bySession = of({ session: 'a', user: 'u', prompt });
  assert.equal(bySession.keyKind, 'session');
  assert.equal(bySession.endpoint.id, of({ session: 'a' }).endpoint.id);
  assert.equal(of({ user: 'u', prompt }).keyKind, 'user');
  assert.equal(of({ prompt }).keyKind, 'prompt');
  assert.deepEqual([of({}).keyKind, of({}).reason], ['none', 'load']);
});

test('what was tried is the last resort', () => {
  const router = routerOf(3);
  const tried: Choice[] = [];
  const ids = new Set<string>();
  for (let i = 0; i < 3; i++) {
    const choice = router.choose({ model: 'm', session: 'a' }, 0, tried)!;
    tried.push(choice);
    ids.add(choice.endpoint.id);
  }
  assert.equal(ids.size, 3);
  assert.notEqual(router.choose({ model: 'm', session: 'a' }, 0, tried), undefined);
});

test('nothing new goes to who drains, is ejected or has its breaker open', () => {
  for (const policy of POLICY_NAMES) {
    const router = routerOf(3, { policy, slowStart: { windowMs: 0 } });
    router.drain('e0', true);
    fail(router, 'e1', 0);
    assert.deepEqual([...shares(router, 50).keys()], ['e2'], policy);
    const excluded = router.explain({ model: 'm' }, 0).candidates.map((c) => c.excluded);
    assert.deepEqual(excluded, ['draining', 'ejected', undefined]);
    fail(router, 'e2', 0);
    assert.equal(router.choose({ model: 'm' }, 0), undefined);
    router.drain('e0', false);
    assert.deepEqual([...shares(router, 50).keys()], ['e0']);
    assert.equal(shares(router, 300, 30_000).size, 3, 'all are back after their time');
  }
});

test('a choice that comes too late to probe is refused when it is sent, not counted', () => {
  const router = routerOf(1);
  for (let i = 0; i < 5; i++) router.settled(send(router, { model: 'm' }, 0), 'failed', 0);
  const choices = Array.from({ length: 5 }, () => router.choose({ model: 'm' }, 30_000)!);
  const sent = choices.filter((choice) => router.dispatched(choice, 30_000));
  assert.equal(sent.length, 3);
  assert.equal(router.states(0)[0]!.ownInFlight, 3);
  for (const choice of choices) router.settled(choice, 'abandoned', 30_001);
  assert.equal(router.states(0)[0]!.ownInFlight, 0);
  const late = router.choose({ model: 'm' }, 60_000)!;
  router.remove('e0');
  assert.equal(router.dispatched(late, 60_000), false);
  router.settled(late, 'failed', 60_000);
});

test('who comes late starts slowly, a fleet that comes at once does not', () => {
  const router = routerOf(4, { policy: 'random' });
  assert.equal(shares(router, 1_000).size, 4);
  router.add({ id: 'late', node: 'late', models: ['m'] }, 60_000);
  const early = shares(router, 4_000, 60_000).get('late') ?? 0;
  assert.ok(early > 40 && early < 160, String(early));
  const half = shares(router, 4_000, 75_000).get('late')!;
  assert.ok(half > 350 && half < 600, String(half));
  const full = shares(router, 4_000, 90_000).get('late')!;
  assert.ok(full > 700, String(full));
});

test('an explanation is plain data with all candidates', () => {
  for (const policy of POLICY_NAMES) {
    const router = routerOf(3, { policy });
    const request = { model: 'm', prompt: keyOfText(textOf(1, 4_000)) };
    const choice = send(router, request, 0);
    router.drain('e1', true);
    const explanation = router.explain(request, 0);
    assert.deepEqual(JSON.parse(JSON.stringify(explanation)), explanation);
    assert.equal(explanation.candidates.length, 3);
    assert.equal(explanation.promptTokens, 1_000);
    assert.match(
      routeHeader(choice, policy),
      /^e\d; policy=[a-z-]+; reason=[a-z]+; key=prompt; of=3; cached=0\/1000$/,
    );
  }
  const nobody = routerOf(0).explain({ model: 'm' }, 0);
  assert.deepEqual([nobody.candidates, 'endpoint' in nobody], [[], false]);
});

test('endpoints and options outside their rules are refused', () => {
  const router = routerOf(0, { maxEndpoints: 1 });
  const endpoint = { id: 'a', node: 'n', models: ['m'] };
  const broken = [{ id: '' }, { id: 'a b' }, { models: [] }, { node: '' }, { capacity: 0 }];
  for (const fields of broken) {
    assert.throws(() => router.add({ ...endpoint, ...fields }, 0), { code: 'endpoint_invalid' });
  }
  router.add(endpoint, 0);
  assert.throws(() => router.add({ ...endpoint, id: 'b' }, 0), { code: 'too_many_endpoints' });
  router.remove('a');
  router.remove('a');
  router.add({ ...endpoint, id: 'b' }, 0);
  const options = [
    { policy: 'best' as never },
    { maxEndpoints: 0 },
    { loadFactor: 0.5 },
    { affinity: { homeTrust: 2 } },
    { prefill: { alpha: 0 } },
    { breaker: { failures: 0 } },
    { slowStart: { minWeight: 0 } },
  ];
  for (const option of options) {
    assert.throws(() => routerOf(0, option), { code: 'invalid_option' }, JSON.stringify(option));
  }
});
