// A bound on the wait for an answer, for callees whose own deadline is longer or none.
import { FlotillaError } from '../core/index.ts';
import type { Clock } from '../core/index.ts';

/**
 * The outcome of `answer`; `store_unavailable` with `details.outcome` 'unknown' when `limitMs` pass
 * first. What was asked for may still happen.
 */
export function within<T>(clock: Clock, limitMs: number, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.schedule(limitMs, () => {
      reject(
        new FlotillaError(
          'store_unavailable',
          `the store did not answer in ${Math.round(limitMs)} ms`,
          {
            details: { outcome: 'unknown', limitMs },
          },
        ),
      );
    });
    answer.then(
      (value) => {
        timer.cancel();
        resolve(value);
      },
      (error) => {
        timer.cancel();
        reject(error);
      },
    );
  });
}
