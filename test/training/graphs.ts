// Small graphs with a structure that can be learnt.
import { canonical, splitByPairs } from '../../src/training/split.ts';
import type { Graph } from '../../src/training/index.ts';

const SIZE = 101;
const STEPS = { next: 1, skip: 2, leap: 7, far: 30 } as const;

/** People in a circle: relations lead 1, 2, 7 and 30 places on; `near` holds both ways. */
export function circleGraph(): Graph {
  const entities = Array.from({ length: SIZE }, (_, i) => `person_${i}.n.01`);
  const relations = [...Object.keys(STEPS), 'near'];
  const words: number[] = [];
  for (let i = 0; i < SIZE; i++) {
    Object.values(STEPS).forEach((step, relation) => {
      words.push(i, relation, (i + step) % SIZE);
    });
    words.push(i, relations.length - 1, (i + 3) % SIZE);
  }
  const symmetric = new Set([relations.length - 1]);
  const triples = canonical(Uint32Array.from(words), SIZE, symmetric);
  const split = splitByPairs({ triples, nodes: entities, symmetric });
  return {
    name: 'circle',
    entities,
    relations,
    ...split,
    symmetric: [...symmetric],
    aliases: ['{}.n.01', '{}.v.01'],
  };
}
