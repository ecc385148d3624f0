// Time as a constructor argument, so that protocols can be simulated. `systemClock` is the real
// one; `src/testing/` has the simulated one.

/** A pending callback. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds from an arbitrary origin; fractions allowed. */
  now(): number;
  /** Milliseconds since 1970 UTC, for people and certificates; it may jump. */
  wallTime(): number;
  /** Calls `callback` once, `delayMs` from now. The process does not stay alive for it. */
  schedule(delayMs: number, callback: () => void): Timer;
  /** Calls `callback` every `intervalMs`. The process does not stay alive for it. */
  repeat(intervalMs: number, callback: () => void): Timer;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
  schedule(delayMs, callback) {
    const handle = setTimeout(callback, delayMs);
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
  repeat(intervalMs, callback) {
    const handle = setInterval(callback, intervalMs);
    handle.unref();
    return { cancel: () => clearInterval(handle) };
  },
};

/** Resolves after `delayMs` on `clock`; rejects with the signal's reason when it aborts first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.schedule(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
