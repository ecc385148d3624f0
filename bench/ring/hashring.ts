// Contestant: npm `hashring` with as many points per node: 150 virtual nodes of one point each. Its
// cache stays at its default size; keys that don't repeat within it don't profit.
import { createRequire } from 'node:module';
import { digestOf, readWorkload, report } from '../harness.ts';
import { figuresOf, measureRates, makeKeys, measureShares, nodeNames } from './workload.ts';
import type { RingWorkload } from './workload.ts';

interface Peer {
  get(key: string): string;
  add(server: string): void;
}
type PeerConstructor = new (
  servers: string[],
  algorithm: string,
  options: Readonly<Record<string, number>>,
) => Peer;

const HashRing = createRequire(import.meta.url)('hashring') as PeerConstructor;

const workload = readWorkload<RingWorkload>();
const keys = makeKeys(workload);

function build(names: string[]): Peer {
  return new HashRing(names, 'md5', { 'vnode count': workload.virtualNodes, replicas: 1 });
}

const timed = build(nodeNames(workload));
const rates = measureRates(workload, keys, (key) => timed.get(key));
// One fleet suffices: its shares are no goal, and each costs it seconds.
const shares = measureShares({ ...workload, fleets: 1 }, keys, (names) => {
  const ring = build(names);
  return { ownerOf: (key) => ring.get(key), add: (node) => ring.add(node) };
});

report(figuresOf(rates, shares), digestOf(keys.join()));
