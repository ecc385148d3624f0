// Every kernel on every backend against the reference in double precision, within TOLERANCES, and
// the rules that all backends share.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { hasCode } from '../../src/core/index.ts';
import { CASES, Draw } from './kernel-cases.ts';
import { makeDevice, onEachBackend, REFERENCE } from './backends.ts';
import type { Device, DeviceBuffer, HostArrays, Launch } from '../../src/devices/index.ts';
import type { Input, KernelCase } from './kernel-cases.ts';

const withCode = (code: string) => (error: unknown) => hasCode(error, code);
const ROUNDS = 12;

const reference = makeDevice(REFERENCE);
await reference.start();
after(() => reference.stop());

/** Runs a case on a device; its outputs. */
async function outputsOf(
  device: Device,
  { outputs, launch }: KernelCase,
  inputs: Readonly<Record<string, Input>>,
): Promise<Record<string, HostArrays[keyof HostArrays]>> {
  const buffers: Record<string, DeviceBuffer> = {};
  for (const [name, { dtype, data }] of Object.entries(inputs)) {
    buffers[name] = await device.allocate(dtype, data.length);
    await device.copyIn(buffers[name], data);
  }
  await device.launch(launch(buffers));
  const results: Record<string, HostArrays[keyof HostArrays]> = {};
  for (const name of outputs) results[name] = await device.copyOut(buffers[name]!);
  for (const buffer of Object.values(buffers)) await device.free(buffer);
  return results;
}

/** The same inputs without signs, so that a sum is the sum of the magnitudes. */
function magnitudes(inputs: KernelCase['inputs']): Record<string, Input> {
  const positive = ({ dtype, data }: Input): Input =>
    dtype === 'float32' ? { dtype, data: (data as Float32Array).map(Math.abs) } : { dtype, data };
  return Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, positive(input)]));
}

for (const [kernel, make] of Object.entries(CASES)) {
  onEachBackend(`${kernel} agrees with the reference`, async (device) => {
    for (let seed = 1; seed <= ROUNDS; seed++) {
      const one = make(new Draw(seed));
      const expected = await outputsOf(reference, one, one.inputs);
      const sums = ['axpy', 'dot', 'gemm', 'scatter-add'].includes(kernel);
      const scales = sums ? await outputsOf(reference, one, magnitudes(one.inputs)) : expected;
      const actual = await outputsOf(device, one, one.inputs);
      for (const name of one.outputs) {
        const [got, want, scale] = [actual[name]!, expected[name]!, scales[name]!];
        assert.equal(got.length, want.length);
        for (let i = 0; i < want.length; i++) {
          if (Object.is(got[i], want[i])) continue;
          const limit = one.limit(name, i, Math.abs(scale[i]!));
          if (Math.abs(got[i]! - want[i]!) <= limit) continue;
          const place = `seed ${seed}, ${name}[${i}]`;
          assert.fail(`${place} is ${got[i]}, expected ${want[i]} within ${limit}`);
        }
      }
    }
  });
}

/** Buffers filled from plain arrays. */
async function filled(device: Device, ...arrays: (Float32Array | Int32Array)[]) {
  const made: DeviceBuffer[] = [];
  for (const data of arrays) {
    const dtype = data instanceof Int32Array ? 'int32' : 'float32';
    const buffer = await device.allocate(dtype, data.length);
    await device.copyIn(buffer, data as Float32Array & Int32Array);
    made.push(buffer);
  }
  return made as [DeviceBuffer, DeviceBuffer, DeviceBuffer, DeviceBuffer, DeviceBuffer];
}

onEachBackend('a row id outside the table changes nothing and is named', async (device) => {
  const ones = new Float32Array(40).fill(1);
  for (const bad of [10, -1, 2 ** 31 - 1]) {
    const ids = Int32Array.of(0, 3, bad, 2);
    const [table, wanted, rows, states] = await filled(device, ones, ids, ones, ones);
    const launches: Launch[] = [
      { kernel: 'gather', dim: 4, table, ids: wanted, out: rows },
      { kernel: 'scatter-add', dim: 4, table, ids: wanted, source: rows },
      {
        kernel: 'adagrad',
        dim: 4,
        params: table,
        ids: wanted,
        states,
        gradients: rows,
        rate: 1,
        epsilon: 0,
      },
    ];
    for (const launch of launches) {
      await assert.rejects(device.launch(launch), (error: unknown) => {
        assert.ok(hasCode(error, 'index_out_of_range'), String(error));
        assert.deepEqual(error.details, { at: 2, id: bad, rows: 10 });
        return true;
      });
    }
    for (const buffer of [table, rows, states]) {
      assert.deepEqual(await device.copyOut(buffer), ones);
    }
  }
});

onEachBackend('adagrad refuses a row that comes twice, and changes nothing', async (device) => {
  const ones = new Float32Array(200).fill(1);
  const ids = Int32Array.of(40, 3, 41, 3);
  const [params, rows, states, gradients] = await filled(device, ones, ids, ones, ones);
  const step = { rate: 1, epsilon: 0, dim: 4, ids: rows };
  const launch: Launch = { kernel: 'adagrad', ...step, params, states, gradients };
  await assert.rejects(device.launch(launch), (error: unknown) => {
    assert.ok(hasCode(error, 'index_repeated'), String(error));
    assert.equal(error.details['id'], 3);
    return true;
  });
  assert.deepEqual(await device.copyOut(params), ones);
  // The same rows once each, right after: nothing of the refused launch is left behind.
  await device.copyIn(rows as DeviceBuffer<'int32'>, Int32Array.of(40, 3, 41, 0));
  await device.launch(launch);
  const updated = (await device.copyOut(params)) as Float32Array;
  assert.equal(updated.filter((value) => value !== 1).length, 16);
});

onEachBackend('a score that is not a number makes the loss of its row one, too', async (device) => {
  const scores = Float32Array.of(1, 2, Number.NaN, 4, 1, 2, 3, 4);
  const [all, own, losses] = await filled(device, scores, new Float32Array(2), new Float32Array(2));
  await device.launch({
    kernel: 'softmax-cross-entropy',
    n: 4,
    scale: 1,
    scores: all,
    positives: own,
    losses,
  });
  const [bad, good] = await device.copyOut(losses);
  assert.ok(Number.isNaN(bad));
  assert.ok(
    Math.abs(good! - Math.log(1 + [1, 2, 3, 4].reduce((s, x) => s + Math.exp(x), 0))) < 1e-5,
  );
});

onEachBackend('arguments of kernels are checked before anything runs', async (device) => {
  const data = new Float32Array(16).fill(1);
  const [x, y, z, ids] = await filled(device, data, data, data, new Int32Array(4));
  const wrong: [Launch, RegExp][] = [
    [{ kernel: 'axpy', alpha: 1, x, y: x }, /y of axpy .* appears once/],
    [{ kernel: 'axpy', alpha: Number.NaN, x, y }, /alpha of axpy must be a finite/],
    [{ kernel: 'axpy', alpha: 1e300, x, y }, /alpha of axpy must be a finite/],
    [{ kernel: 'axpy', alpha: 1, n: 17, x, y }, /x of axpy must be a buffer of at least 17/],
    [{ kernel: 'axpy', alpha: 1, x, y: ids }, /y of axpy must be a buffer of float32/],
    [{ kernel: 'dot', n: -1, x, y, out: z }, /n of dot must be a whole number/],
    [{ kernel: 'gather', dim: 0, table: x, ids, out: y }, /dim of gather .* from 1/],
    [{ kernel: 'gather', dim: 5, table: x, ids, out: y }, /out of gather .* at least 20/],
    [{ kernel: 'gemm', m: 5, n: 4, k: 4, a: x, b: y, c: z }, /a of gemm .* at least 20/],
    [{ kernel: 'gemm', m: 4, n: 4, k: 2.5, a: x, b: y, c: z }, /k of gemm must be a whole/],
    [{ kernel: 'cast', source: x, target: y }, /target of cast/],
    [{ kernel: 'fft' } as unknown as Launch, /kernel must be one of axpy, /],
    [{ kernel: 'toString' } as unknown as Launch, /kernel must be one of axpy, /],
  ];
  for (const [launch, message] of wrong) {
    await assert.rejects(device.launch(launch), (error: unknown) => {
      assert.ok(hasCode(error, 'launch_invalid'), String(error));
      assert.match(error.message, message);
      return true;
    });
  }
  assert.equal(device.state, 'ready');
});

onEachBackend('launches of nothing do nothing', async (device) => {
  const data = Float32Array.of(1, 2, 3, 4);
  const [x, y, z, ids] = await filled(device, data, data, data, new Int32Array(4));
  await device.launch({ kernel: 'axpy', n: 0, alpha: 1, x, y });
  await device.launch({ kernel: 'gather', rows: 0, dim: 1, table: x, ids, out: y });
  await device.launch({ kernel: 'gemm', m: 0, n: 2, k: 2, a: x, b: z, c: y });
  assert.deepEqual(await device.copyOut(y), data);
  await device.launch({ kernel: 'dot', n: 0, x, y, out: z });
  await device.launch({ kernel: 'gemm', m: 2, n: 2, k: 0, a: x, b: z, c: y });
  assert.deepEqual(await device.copyOut(y), new Float32Array(4));
  assert.equal((await device.copyOut(z))[0], 0);
});

onEachBackend('buffers start zeroed, hold every dtype and copy in parts', async (device) => {
  const contents = {
    float32: Float32Array.of(1.5, -2, 3.25, 0, Number.NaN),
    float16: Float16Array.of(1.5, -2, 65504, 0, Infinity),
    int32: Int32Array.of(1, -2, 2 ** 31 - 1, 0, 5),
    uint8: Uint8Array.of(1, 2, 255, 0, 5),
  };
  for (const [dtype, data] of Object.entries(contents)) {
    const buffer = await device.allocate(dtype as 'float32', data.length);
    assert.deepEqual([...(await device.copyOut(buffer))], [0, 0, 0, 0, 0]);
    await device.copyIn(buffer, data as Float32Array);
    assert.deepEqual(await device.copyOut(buffer), data);
    await device.copyIn(buffer, data.subarray(0, 1) as Float32Array, { offset: 3 });
    const part = await device.copyOut(buffer, { offset: 1, length: 3 });
    assert.deepEqual([...part], [data[1], data[2], data[0]]);
    await assert.rejects(
      device.copyIn(buffer, data as Float32Array, { offset: 1 }),
      withCode('launch_invalid'),
    );
    await assert.rejects(device.copyOut(buffer, { offset: 6 }), withCode('launch_invalid'));
    await device.free(buffer);
  }
  assert.equal(device.stats().memoryUsed, 0);
});

test('the number of threads changes no bit', async () => {
  const backends = [1, 2, 5].map((threads) => `cpu, ${threads} threads`);
  const { CpuBackend } = await import('../../src/devices/index.ts');
  const devices = [1, 2, 5].map((threads, i) =>
    makeDevice({ name: backends[i]!, make: () => new CpuBackend({ threads }) }),
  );
  await Promise.all(devices.map((device) => device.start()));
  for (const make of Object.values(CASES)) {
    const one = make(new Draw(99));
    const results = [];
    for (const device of devices) results.push(await outputsOf(device, one, one.inputs));
    for (const result of results.slice(1)) assert.deepEqual(result, results[0]);
  }
  await Promise.all(devices.map((device) => device.stop()));
});
