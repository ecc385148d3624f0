// Commands come from other nodes, too: whatever is in them, they are refused by name, and the
// context and everybody's buffers stay.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FlotillaError } from '../../src/core/index.ts';
import { createDevice } from './mock-device.ts';
import type { Launch } from '../../src/devices/index.ts';

/** Values that have no text, or whose text throws, among the usual ones. */
const anything = fc.oneof(
  fc.anything({ withNullPrototype: true }),
  fc.constantFrom<unknown>(
    { toString: 1, valueOf: 1 },
    Object.create(null),
    { length: { valueOf: 3 } },
    ['a'],
    '__proto__',
    'constructor',
    Number.NaN,
    -1,
    2 ** 53,
    Symbol.iterator.toString(),
  ),
);

test('no argument of any command faults a device', async () => {
  // At the first fault it is dead.
  const { device } = createDevice({ rebuildAttempts: 1 });
  await device.start();
  const x = await device.allocate('float32', 8);
  const y = await device.allocate('float32', 8);
  await device.copyIn(x, Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  const orBuffer = fc.oneof({ weight: 3, arbitrary: anything }, fc.constantFrom<unknown>(x, y));
  const kernel = fc.oneof(anything, fc.constantFrom('axpy', 'dot', 'gather', 'gemm', 'cast'));
  const launch = fc.oneof(
    anything,
    fc.record({ kernel, x: orBuffer, y: orBuffer, alpha: anything, n: anything, m: anything }),
  );
  const name = fc.record({
    device: fc.oneof(anything, fc.constant(x.device)),
    generation: fc.oneof(anything, fc.constant(1)),
    ...{ id: anything, dtype: anything, length: anything },
  });
  await fc.assert(
    fc.asyncProperty(launch, name, anything, anything, async (given, buffer, a, b) => {
      const commands = [
        () => device.launch(given as Launch),
        () => device.allocate(a as 'float32', b as number),
        () => device.copyOut(buffer as never, { offset: a, length: b } as never),
        () => device.copyOut(x, { offset: a, length: b } as never),
        () => device.copyIn(x, a as never, { offset: b } as never),
        () => device.free(buffer as never),
      ];
      for (const command of commands) {
        await command().catch((error: unknown) => {
          assert.ok(error instanceof FlotillaError, String(error));
        });
        assert.equal(device.state, 'ready');
      }
    }),
    { numRuns: 300 },
  );
  assert.equal((await device.copyOut(x)).length, 8);
  await device.stop();
});
