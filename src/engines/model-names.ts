// The names under which clients can ask an engine for its models: its own, and the aliases for
// them. A client's name means one model; an alias goes before a model of the same name.
import { invalidOption } from '../core/index.ts';

export class ModelNames {
  /** Whether the engine has to be asked for its models. */
  readonly isAsked: boolean;
  readonly #aliases: ReadonlyMap<string, string>;
  #own = new Set<string>();
  #names: readonly string[] = [];

  /** @param models undefined: they are learnt */
  constructor(models: readonly string[] | undefined, aliases: Readonly<Record<string, string>>) {
    this.isAsked = models === undefined;
    this.#aliases = new Map(Object.entries(aliases));
    for (const name of [...(models ?? []), ...this.#aliases.keys(), ...this.#aliases.values()]) {
      if (name === '') throw invalidOption('models', 'names that are not empty', '""');
    }
    if (models === undefined) return;
    if (models.length === 0) throw invalidOption('models', 'at least one name', 'none');
    for (const [alias, model] of this.#aliases) {
      if (models.includes(model)) continue;
      throw invalidOption('aliases', 'names for models of the engine', `${alias}: ${model}`);
    }
    this.learn(models);
  }

  /** All names, sorted. */
  get models(): readonly string[] {
    return this.#names;
  }

  /** What the engine calls `name`; undefined when it serves no such model. */
  ownName(name: string): string | undefined {
    const own = this.#aliases.get(name) ?? name;
    return this.#own.has(own) ? own : undefined;
  }

  /** Takes in what the engine serves now; whether that changed any name. */
  learn(models: readonly string[]): boolean {
    const before = this.#names;
    this.#own = new Set(models);
    const all = new Set([...models, ...this.#aliases.keys()]);
    this.#names = [...all].filter((name) => this.ownName(name) !== undefined).sort();
    return (
      before.length !== this.#names.length || before.some((name, at) => name !== this.#names[at])
    );
  }
}
