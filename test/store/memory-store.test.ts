// The store that other tests lean on keeps the rules of the real ones.
import { SimulatedClock } from '../../src/testing/index.ts';
import { MemoryData, MemoryStore } from '../support/memory-store.ts';
import { conforms } from './conformance.ts';
import type { Subject } from './conformance-kit.ts';

function subjectOn(clock: SimulatedClock, data: MemoryData): Subject {
  const store = new MemoryStore(clock, data);
  return {
    store,
    other: store,
    ttlMs: 1000,
    advance: (durationMs) => clock.advance(durationMs),
    async reopen() {
      await store.close();
      return subjectOn(clock, data);
    },
  };
}

conforms('memory', async () => subjectOn(new SimulatedClock(), new MemoryData()));
