// Contestant: npm `hashring` with as many points per node: 150 virtual nodes of one point each. Its
// cache stays at its default size; keys that don't repeat within it don't profit.
import { createRequire } from 'node:module';
import { digestOf, readWorkload, report } from '../harness.ts';
import { figuresOf, lookupsPerSecond, makeKeys, measureShares, nodeNames } from './workload.ts';
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
const rate = lookupsPerSecond(workload, keys, (key) => timed.get(key));
// Two fleets suffice: its shares are no goal, and each costs a second for every 300,000 keys.
const shares = measureShares({ ...workload, fleets: 2 }, keys, (names) => {
  const ring = build(names);
  return { ownerOf: (key) => ring.get(key), add: (node) => ring.add(node) };
});

report(figuresOf(rate, shares), digestOf(keys.join()));
