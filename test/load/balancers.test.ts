// Selectors and balancers: which node, by what, and what a burst, an overload or an unknown does.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPrng, hasCode } from '../../src/core/index.ts';
import {
  BALANCER_NAMES,
  compositeSelector,
  cpuSelector,
  createBalancer,
  createSelector,
  gpuMemorySelector,
  heapSelector,
  inFlightSelector,
  kvCacheSelector,
  LoadStore,
  mixSelector,
  queueSelector,
  RoutingView,
  weightedPick,
} from '../../src/load/index.ts';
import { loadOf } from './loads.ts';
import type { BalancerName, Candidates, NodeLoad } from '../../src/load/index.ts';

const SEED = 11;

/** A router that has heard `loads`, and a balancer over it. */
function routerOf(name: BalancerName, loads: readonly NodeLoad[]) {
  const view = new RoutingView({ selector: cpuSelector });
  const store = new LoadStore();
  const slots = Uint16Array.from(loads, ({ node }) => view.add(node));
  const candidates: Candidates = { slots, count: slots.length };
  let stamp = 0;
  const hear = (record: NodeLoad) => {
    store.publish({ ...record, timestampMs: ++stamp }, stamp * 1_000);
    view.update(record.node, store.get(record.node));
  };
  loads.forEach(hear);
  const balancer = createBalancer(name, { view, prng: createPrng(SEED) });
  const pick = () => view.nameOf(balancer.pick(candidates, 0));
  const send = () => {
    const slot = balancer.pick(candidates, 0);
    return { slot, dispatch: view.dispatched(slot) };
  };
  return { view, candidates, hear, pick, send, balancer };
}

function countsOf(picks: readonly unknown[]): Map<unknown, number> {
  const counts = new Map<unknown, number>();
  for (const pick of picks) counts.set(pick, (counts.get(pick) ?? 0) + 1);
  return counts;
}

test('selectors tell the room that is left', () => {
  const load = loadOf('a', { cpu: 0.25, heapUsed: 3, heapMax: 4, inFlight: 16, queued: 32 });
  assert.equal(cpuSelector(load), 0.75);
  assert.equal(heapSelector(load), 0.25);
  assert.equal(mixSelector(load), 0.5);
  assert.equal(inFlightSelector(64)(load), 0.75);
  assert.equal(queueSelector(64)(load), 0.5);
  assert.equal(heapSelector(loadOf('a')), 1, 'no limit, no usage');
});

test('a figure that a node does not publish is no figure, not 0', () => {
  assert.equal(kvCacheSelector(loadOf('a')), undefined);
  assert.equal(kvCacheSelector(loadOf('a', { engine: { running: 1 } })), undefined);
  assert.equal(kvCacheSelector(loadOf('a', { engine: { kvCacheUsage: 0.75 } })), 0.25);
  assert.equal(gpuMemorySelector(loadOf('a')), undefined);
  const mixed = compositeSelector([
    { selector: kvCacheSelector, weight: 3 },
    { selector: cpuSelector, weight: 1 },
  ]);
  assert.equal(mixed(loadOf('a', { cpu: 0.5 })), 0.5);
  assert.equal(mixed(loadOf('a', { cpu: 0.5, engine: { kvCacheUsage: 1 } })), 0.125);
  assert.equal(
    compositeSelector([{ selector: kvCacheSelector, weight: 1 }])(loadOf('a')),
    undefined,
  );
  assert.throws(
    () => compositeSelector([{ selector: cpuSelector, weight: Number.NaN }]),
    (error) => hasCode(error, 'invalid_option'),
  );
});

test('selectors are chosen by name, or several by their weights', () => {
  const load = loadOf('a', { cpu: 0.5, heapUsed: 1, heapMax: 4, engine: { kvCacheUsage: 0.9 } });
  assert.equal(createSelector('cpu')(load), 0.5);
  assert.equal(createSelector('mix')(load), 0.625);
  const both = createSelector({ cpu: 1, 'kv-cache': 3 })(load) ?? Number.NaN;
  assert.ok(Math.abs(both - (0.5 + 3 * 0.1) / 4) < 1e-12);
  for (const weights of [{ cpu: -1 }, {}]) {
    assert.throws(
      () => createSelector(weights),
      (error) => hasCode(error, 'invalid_option'),
    );
  }
});

for (const name of BALANCER_NAMES) {
  test(`${name}: without candidates there is no node, with one it is that one`, () => {
    const { balancer, candidates } = routerOf(name, [loadOf('a')]);
    assert.equal(balancer.pick({ slots: candidates.slots, count: 0 }, 0), -1);
    assert.equal(balancer.pick(candidates, 0), candidates.slots[0]);
  });

  test(`${name}: an overloaded node is passed over while others have room`, () => {
    const loads = [loadOf('a', { cpu: 0.97 }), loadOf('b', { cpu: 0.3 }), loadOf('c')];
    const { pick } = routerOf(name, loads);
    const picks = Array.from({ length: 200 }, pick);
    assert.equal(countsOf(picks).get('a'), undefined);
  });

  test(`${name}: when all are overloaded all still serve`, () => {
    const loads = ['a', 'b', 'c'].map((node) => loadOf(node, { cpu: 0.99 }));
    const { send, view } = routerOf(name, loads);
    const picks = Array.from({ length: 300 }, () => view.nameOf(send().slot));
    assert.equal(countsOf(picks).size, 3);
  });

  test(`${name}: full memory is an overload too`, () => {
    const loads = [loadOf('a', { memoryUsed: 95, memoryMax: 100 }), loadOf('b', { cpu: 0.5 })];
    const { pick } = routerOf(name, loads);
    assert.deepEqual([...countsOf(Array.from({ length: 100 }, pick)).keys()], ['b']);
  });
}

for (const name of [
  'adaptive',
  'weighted',
  'two-choices',
  'peak-ewma',
  'least-outstanding',
] as const) {
  test(`${name}: a burst between two samples does not herd onto the node that was idle`, () => {
    const loads = Array.from({ length: 10 }, (_, index) =>
      loadOf(`node-${index}`, { cpu: index === 0 ? 0.1 : 0.2, inFlight: index === 0 ? 1 : 2 }),
    );
    const { send, view } = routerOf(name, loads);
    const counts = countsOf(Array.from({ length: 200 }, () => view.nameOf(send().slot)));
    assert.ok(Math.max(...counts.values()) <= 60, `seed ${SEED}: ${[...counts.values()]}`);
  });
}

test('adaptive takes the least used, and an unknown node only when all are unknown', () => {
  const { pick, view } = routerOf('adaptive', [
    loadOf('a', { cpu: 0.4 }),
    loadOf('b', { cpu: 0.3 }),
  ]);
  assert.equal(pick(), 'b');
  view.update('b', undefined);
  assert.equal(pick(), 'a');
  view.update('a', undefined);
  assert.ok(['a', 'b'].includes(pick() ?? ''));
});

test('weighted draws match their weights (χ² over 100,000 draws)', () => {
  const cpus = [0.1, 0.4, 0.7, 0.9];
  const { candidates, view } = routerOf(
    'weighted',
    cpus.map((cpu, index) => loadOf(`node-${index}`, { cpu })),
  );
  const prng = createPrng(SEED);
  const draws = 100_000;
  const counts = new Map<number, number>();
  for (let i = 0; i < draws; i++) {
    const slot = weightedPick(candidates, view, prng.next());
    counts.set(slot, (counts.get(slot) ?? 0) + 1);
  }
  const total = cpus.reduce((sum, cpu) => sum + 1 - cpu, 0);
  let chiSquared = 0;
  for (const [index, cpu] of cpus.entries()) {
    const expected = (draws * (1 - cpu)) / total;
    chiSquared += ((counts.get(candidates.slots[index]!) ?? 0) - expected) ** 2 / expected;
  }
  // 16.27: the 0.1 % point with 3 degrees of freedom.
  assert.ok(chiSquared < 16.27, `χ² = ${chiSquared}, seed ${SEED}`);
});

test('a node without room is never drawn, not even by the draws 0 and 1', () => {
  const loads = [
    loadOf('full', { cpu: 1 }),
    loadOf('b', { cpu: 0.5 }),
    loadOf('full2', { cpu: 1 }),
  ];
  const { candidates, view } = routerOf('weighted', loads);
  for (const draw of [0, 0.5, 1, -3, 7]) {
    assert.equal(view.nameOf(weightedPick(candidates, view, draw)), 'b');
  }
  const allFull = routerOf('weighted', [loadOf('x', { cpu: 1 }), loadOf('y', { cpu: 1 })]);
  assert.equal(allFull.view.nameOf(weightedPick(allFull.candidates, allFull.view, 0.9)), 'x');
});

test('an unknown node weighs half', () => {
  const { candidates, view } = routerOf('weighted', [loadOf('a'), loadOf('b')]);
  view.update('a', undefined);
  assert.equal(view.nameOf(weightedPick(candidates, view, 0.32)), 'a');
  assert.equal(view.nameOf(weightedPick(candidates, view, 0.34)), 'b');
});

test('twice the capacity, twice the requests', () => {
  const { view, send } = routerOf('least-outstanding', [loadOf('big'), loadOf('small')]);
  view.add('big', 2);
  const counts = countsOf(Array.from({ length: 300 }, () => view.nameOf(send().slot)));
  assert.deepEqual([counts.get('big'), counts.get('small')], [200, 100]);
});

test('peak-ewma leaves a slow node, and a node that fails fast, alone', () => {
  const { view, pick } = routerOf('peak-ewma', [loadOf('a'), loadOf('b')]);
  const settle = (node: string, latencyMs: number, ok: boolean) => {
    const slot = view.slotOf(node) ?? assert.fail();
    view.settled(view.dispatched(slot), 0, { latencyMs, ok });
  };
  settle('a', 400, true);
  settle('b', 20, true);
  assert.equal(pick(), 'b');
  settle('b', 1, false);
  assert.equal(pick(), 'a', 'a failure after 1 ms counts as slow');
});

test('in-flight counts return to 0, and settle nothing twice', () => {
  const { view, send } = routerOf('least-outstanding', [loadOf('a'), loadOf('b')]);
  const sent = Array.from({ length: 100 }, send);
  for (const [index, { dispatch }] of sent.entries()) {
    view.settled(dispatch, index, { latencyMs: index, ok: index % 3 > 0 });
  }
  assert.deepEqual([view.own(0), view.own(1)], [0, 0]);
  const again = sent[0] ?? assert.fail();
  assert.throws(() => view.settled(again.dispatch, 0, { latencyMs: 1, ok: true }));
});

test('a request to a node that has gone settles without touching who has its slot now', () => {
  const { view, send } = routerOf('round-robin', [loadOf('a')]);
  const { slot, dispatch } = send();
  view.remove('a');
  assert.equal(view.add('b'), slot);
  const mine = view.dispatched(slot);
  view.settled(dispatch, 1, { latencyMs: 1, ok: true });
  assert.equal(view.own(slot), 1);
  view.settled(mine, 1, { latencyMs: 1, ok: true });
  assert.equal(view.own(slot), 0);
});

test('others’ requests are what was reported beyond this router’s own', () => {
  const { view, hear, candidates } = routerOf('two-choices', [loadOf('a'), loadOf('b')]);
  const slot = candidates.slots[0] ?? assert.fail();
  view.remove('a');
  view.add('a');
  for (let i = 0; i < 4; i++) view.dispatched(slot);
  hear(loadOf('a', { inFlight: 6, queued: 1 }));
  assert.equal(view.outstanding(slot), 7);
  view.dispatched(slot);
  assert.equal(view.outstanding(slot), 8);
});
