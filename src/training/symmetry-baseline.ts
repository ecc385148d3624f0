// What a rule without learning scores: (h, r, t) is predicted when train holds (t, r, h). A model
// that does not beat it has learnt nothing but mirrors; on a leak-free split it scores almost
// nothing.
import { Answers, knownAnswers } from './known-answers.ts';
import { RankTally } from './ranking.ts';
import type { RankMetrics } from './events.ts';
import type { Graph, Triples } from './graph.ts';

/**
 * Filtered metrics of the symmetry rule on the test set; predicted candidates tie, and so do
 * others.
 */
export function symmetryBaseline(graph: Graph): RankMetrics {
  const relations = graph.relations.length;
  const known = knownAnswers(graph, graph.test);
  // The mirror of query (h, r, ?) is (?, r, h): its answers are what the rule predicts.
  const predicted = new Answers(mirror(graph.test), relations).learn(graph.train);
  const tally = new RankTally();
  const rank = (subject: number, relation: number, target: number) => {
    const back = relation < relations ? relation + relations : relation - relations;
    const answers = new Set(known.of(subject, relation)).add(target);
    const rivals = new Set(predicted.of(subject, back));
    const hit = rivals.has(target);
    for (const answer of answers) rivals.delete(answer);
    const candidates = graph.entities.length - answers.size;
    if (hit) tally.add(0, rivals.size);
    else tally.add(rivals.size, candidates - rivals.size);
  };
  for (let i = 0; i < graph.test.length; i += 3) {
    const head = graph.test[i]!;
    const relation = graph.test[i + 1]!;
    const tail = graph.test[i + 2]!;
    rank(head, relation, tail);
    rank(tail, relation + relations, head);
  }
  return tally.metrics();
}

function mirror(triples: Triples): Triples {
  const mirrored = triples.slice();
  for (let i = 0; i < triples.length; i += 3) {
    mirrored[i] = triples[i + 2]!;
    mirrored[i + 2] = triples[i]!;
  }
  return mirrored;
}
