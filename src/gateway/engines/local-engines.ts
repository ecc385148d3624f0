// The engines behind this node: starts and stops them, and says which are up with which models, in
// the words that other nodes get.
import { ENGINE_LINK } from '../defaults.ts';
import type { Engine, EngineTarget } from '../../engines/index.ts';

/** An engine as its node describes it. */
export interface EngineDescription {
  readonly name: string;
  readonly isUp: boolean;
  readonly capacity: number;
  /** Names for clients, and what the engine calls them. */
  readonly models: Readonly<Record<string, string>>;
  /** Where gateways reach it without this node; absent where they must come through it. */
  readonly target?: EngineTarget;
  /** Why it is not up. */
  readonly problem?: string;
}

export interface LocalEngine {
  readonly engine: Engine;
  /** Other nodes reach the engine's own address: they send there directly. */
  readonly isReachable: boolean;
}

export class LocalEngines {
  readonly #engines = new Map<string, LocalEngine>();

  constructor(engines: readonly LocalEngine[]) {
    for (const each of engines) this.#engines.set(each.engine.name, each);
  }

  get size(): number {
    return this.#engines.size;
  }

  named(name: string): Engine | undefined {
    return this.#engines.get(name)?.engine;
  }

  all(): Engine[] {
    return [...this.#engines.values()].map(({ engine }) => engine);
  }

  describe(): EngineDescription[] {
    return [...this.#engines.values()].map(({ engine, isReachable }) => {
      const { name, capacity, models, problem, target } = engine;
      const named = models.map((model) => [model, engine.modelNamed(model) ?? model] as const);
      return {
        name,
        isUp: engine.state === 'up',
        capacity,
        models: Object.fromEntries(named),
        ...(isReachable && target !== undefined && { target }),
        ...(problem !== undefined && {
          problem: problem.message.slice(0, ENGINE_LINK.maxProblemCharacters),
        }),
      };
    });
  }

  start(): void {
    for (const { engine } of this.#engines.values()) engine.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.all().map((engine) => engine.stop()));
  }
}
