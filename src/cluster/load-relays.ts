// Who tells whom in a fleet that is too large for everybody to tell everybody: a graph in which
// each member has about √2n listeners, and from each to each it is one step, or two in two ways. So
// a record reaches all when those who heard it from its node pass it on once, also when one of them
// is silent. Pure: whoever sees the same members sees the same graph.

/** Ways of two steps from each to each. */
const WAYS = 2;

/**
 * Those whom `self` tells. The graph is that of Imase and Itoh (1981): member i of n tells −d·i − j
 * modulo n for j from 1 to d. Two steps lead to d²·i + d·j − k, once to each member for each n in
 * d²; the first step is never the same twice.
 * @param names all members, sorted and each once, with `self` among them
 */
export function listenersOf(self: string, names: readonly string[]): string[] {
  const count = names.length;
  const degree = Math.min(count, Math.ceil(Math.sqrt(WAYS * count)));
  const start = degree * names.indexOf(self);
  const listeners = new Set<string>();
  for (let j = 1; j <= degree; j++) {
    const at = (count - ((start + j) % count)) % count;
    if (names[at] !== self) listeners.add(names[at] as string);
  }
  return [...listeners];
}
