// Which methods a path has, to tell a wrong method (405) from a wrong path (404).

interface Route {
  readonly segments: readonly string[];
  readonly methods: Set<string>;
}

/** Patterns as Fastify writes them; `:name` stands for one segment. */
export class RouteTable {
  readonly #routes = new Map<string, Route>();

  add(method: string | readonly string[], pattern: string): void {
    const route = this.#routes.get(pattern) ?? { segments: pattern.split('/'), methods: new Set() };
    for (const each of [method].flat()) route.methods.add(each);
    this.#routes.set(pattern, route);
  }

  /** Every method and pattern. */
  all(): { readonly method: string; readonly pattern: string }[] {
    return [...this.#routes].flatMap(([pattern, { methods }]) =>
      [...methods].map((method) => ({ method, pattern })),
    );
  }

  /** Empty when no route has the path. */
  methodsOf(path: string): string[] {
    const actual = path.split('/');
    const matching = [...this.#routes.values()].filter(({ segments }) => matches(segments, actual));
    return [...new Set(matching.flatMap(({ methods }) => [...methods]))].sort();
  }
}

function matches(pattern: readonly string[], actual: readonly string[]): boolean {
  if (pattern.length !== actual.length) return false;
  return pattern.every((part, index) => part.startsWith(':') || part === actual[index]);
}
