// Waits for what an engine becomes, by its own word and not by the clock.
import type { Engine } from '../../src/engines/index.ts';

type Condition = (engine: Engine) => boolean;

export function changesOf() {
  const waiters = new Set<() => void>();
  return {
    onChange: () => {
      for (const look of waiters) look();
    },
    /** Resolves once `condition` holds; at once when it does now. */
    until: (engine: Engine, condition: Condition): Promise<void> =>
      new Promise((resolve) => {
        const look = () => {
          if (!condition(engine)) return;
          waiters.delete(look);
          clearInterval(poll);
          resolve();
        };
        // A problem that changes nothing else is not told.
        const poll = setInterval(look, 5);
        waiters.add(look);
        look();
      }),
  };
}
