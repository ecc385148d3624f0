// Contestant: Flotilla's ring with its default hash.
import { HashRing } from '../../src/ring/index.ts';
import { digestOf, readWorkload, report } from '../harness.ts';
import { figuresOf, measureRates, makeKeys, measureShares, nodeNames } from './workload.ts';
import type { RingWorkload } from './workload.ts';

const workload = readWorkload<RingWorkload>();
const keys = makeKeys(workload);

function build(names: string[]): HashRing {
  const ring = new HashRing({ replicas: workload.virtualNodes });
  for (const name of names) ring.addNode(name);
  return ring;
}

const timed = build(nodeNames(workload));
const rates = measureRates(workload, keys, (key) => timed.getNode(key));
const shares = measureShares(workload, keys, (names) => {
  const ring = build(names);
  return { ownerOf: (key) => ring.getNode(key) ?? '', add: (node) => ring.addNode(node) };
});

report(figuresOf(rates, shares), digestOf(keys.join()));
