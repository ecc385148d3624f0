// Probes: control groups of both versions from recorded files, engines' pages, and this machine.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { hasCode, systemClock } from '../../src/core/index.ts';
import {
  EngineGauges,
  engineScrape,
  MachineProbe,
  parseExposition,
  readNodeLoad,
  StaticProbe,
} from '../../src/load/index.ts';
import { Cgroup } from '../../src/load/probe/cgroup.ts';
import { readController } from '../../src/load/probe/gpus.ts';
import { Processor } from '../../src/load/probe/processor.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import type { AddressInfo } from 'node:net';

type Files = Record<string, string>;

const readerOf = (files: Files) => (path: string) => files[path];

const VERSION_2 = (used: number, throttled: number): Files => ({
  '/proc/self/cgroup': '0::/\n',
  '/sys/fs/cgroup/cpu.max': '50000 100000\n',
  '/sys/fs/cgroup/cpu.stat': [
    `usage_usec ${used}`,
    'user_usec 1',
    `nr_periods ${used / 100}`,
    `nr_throttled ${throttled}`,
  ].join('\n'),
  '/sys/fs/cgroup/memory.max': '1000\n',
  '/sys/fs/cgroup/memory.current': '700\n',
  '/sys/fs/cgroup/memory.stat': 'anon 500\ninactive_file 200\n',
});

test('a quota of version 2 is what the processor time is a share of', () => {
  const clock = new SimulatedClock();
  let files = VERSION_2(0, 0);
  const cgroup = new Cgroup((path) => files[path]);
  const processor = new Processor({ clock, cgroup, processors: () => [] });
  clock.advance(1_000);
  files = VERSION_2(250_000, 0);
  assert.equal(processor.sample(), 0.5, '250 ms of the 500 ms that half a processor has');
  assert.equal(processor.sample(), 0.5, 'no time has passed: the same again');
  clock.advance(1_000);
  files = VERSION_2(300_000, 500);
  assert.equal(processor.sample(), 1, 'throttled in every period: full');
});

test('memory is that of the group, without what the kernel can drop', () => {
  assert.deepEqual(new Cgroup(readerOf(VERSION_2(0, 0))).memory(), { used: 500, max: 1000 });
});

test('version 1 is read by its controllers, in a container too', () => {
  const files: Files = {
    '/proc/self/cgroup': '4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n',
    '/sys/fs/cgroup/cpu,cpuacct/cpuacct.usage': '2000000000\n',
    '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '200000\n',
    '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
    '/sys/fs/cgroup/cpu,cpuacct/cpu.stat': 'nr_periods 10\nnr_throttled 3\n',
    '/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes': '4096\n',
    '/sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes': '1024\n',
  };
  const cgroup = new Cgroup(readerOf(files));
  assert.deepEqual(cgroup.cpu(), { quota: 2, usedMs: 2_000, periods: 10, throttledPeriods: 3 });
  assert.deepEqual(cgroup.memory(), { used: 1024, max: 4096 });
});

test('no limit is no limit', () => {
  const files: Files = {
    ...VERSION_2(0, 0),
    '/sys/fs/cgroup/cpu.max': 'max 100000\n',
    '/sys/fs/cgroup/memory.max': 'max\n',
  };
  assert.equal(new Cgroup(readerOf(files)).cpu()?.quota, undefined);
  assert.equal(new Cgroup(readerOf(files)).memory(), undefined);
  assert.equal(new Cgroup(readerOf({})).cpu(), undefined);
});

test('without a quota the machine’s processors count', () => {
  const clock = new SimulatedClock();
  const times = { user: 0, nice: 0, sys: 0, idle: 0, irq: 0 };
  const processors = () => [{ times: { ...times } }, { times: { ...times } }];
  const processor = new Processor({ clock, cgroup: new Cgroup(readerOf({})), processors });
  clock.advance(1_000);
  Object.assign(times, { user: 200, sys: 100, idle: 700 });
  assert.equal(processor.sample(), 0.3);
});

const VLLM = `# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 2.0
vllm:num_requests_waiting{engine="0",model_name="m"} 0.0
vllm:num_requests_waiting_other{engine="0"} 99
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.5
vllm:gpu_cache_usage_perc{engine="0"} 0.99
vllm:prefix_cache_queries_total{engine="0",model_name="m"} QUERIES
vllm:prefix_cache_hits_total{engine="0",model_name="m"} HITS
vllm:broken{engine="0"} NaN
`;
const vllm = (queries: number, hits: number) =>
  VLLM.replace('QUERIES', String(queries)).replace('HITS', String(hits));

test('vLLM: counts of its engines add up, the fullest cache counts, hits are new', () => {
  const gauges = new EngineGauges();
  assert.deepEqual(gauges.read(vllm(1e6, 5e5)), { running: 5, waiting: 0, kvCacheUsage: 0.5 });
  assert.equal(gauges.read(vllm(1e6 + 100, 5e5 + 80)).cacheHitRate, 0.8);
  assert.equal(gauges.read(vllm(10, 1)).cacheHitRate, undefined, 'the engine restarted');
});

test('SGLang and llama.cpp are read by their own names', () => {
  const sglang = [
    'sglang:num_running_reqs{a="b"} 4',
    'sglang:num_queue_reqs 7',
    'sglang:token_usage 0.5',
    'sglang:cache_hit_rate 0.75',
  ].join('\n');
  assert.deepEqual(new EngineGauges().read(sglang), {
    running: 4,
    waiting: 7,
    kvCacheUsage: 0.5,
    cacheHitRate: 0.75,
  });
  const llamacpp = 'llamacpp:requests_processing 1\nllamacpp:requests_deferred 2\n';
  assert.deepEqual(new EngineGauges().read(llamacpp), { running: 1, waiting: 2 });
  assert.deepEqual(new EngineGauges().read('process_cpu_seconds_total 5\n'), {});
});

test('an exposition is read by its format: escapes, time stamps, nonsense', () => {
  const lines = [
    'a{x="1\\"2",y="z"} 4 1700000000000',
    'b 1e3',
    'no value',
    '{} 3',
    'c +Inf',
    'd{open="} 1',
  ];
  const text = lines.join('\n');
  assert.deepEqual(parseExposition(text), [
    { name: 'a', labels: { x: '1"2', y: 'z' }, value: 4 },
    { name: 'b', labels: {}, value: 1000 },
    { name: 'd', labels: {}, value: 1 },
  ]);
});

test('an engine is asked over HTTP; one that refuses is a typed error', async () => {
  const server = createServer((request, response) => {
    response.statusCode = request.url === '/metrics' ? 200 : 404;
    response.end('llamacpp:requests_processing 3\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    assert.deepEqual(await engineScrape({ url: `${base}/metrics` })(), { running: 3 });
    await assert.rejects(engineScrape({ url: `${base}/none` })(), (error) =>
      hasCode(error, 'probe_failed'),
    );
  } finally {
    server.close();
  }
});

test('a GPU is read in bytes and shares; half a record is none', () => {
  assert.deepEqual(readController({ utilizationGpu: 50, memoryUsed: 1, memoryTotal: 4 }), [
    { utilization: 0.5, memoryUsed: 2 ** 20, memoryMax: 2 ** 22 },
  ]);
  assert.deepEqual(readController({ memoryUsed: 1, memoryTotal: 4 }), []);
});

test('this machine is measured within the rules of a record', () => {
  const requests = () => ({ inFlight: 2, queued: 1 });
  const probe = new MachineProbe({ clock: systemClock, requests });
  try {
    const sample = { node: 'here', incarnation: 1, timestampMs: 1, ...probe.sample() };
    const read = readNodeLoad(structuredClone(sample));
    assert.equal(read.inFlight, 2);
    assert.ok(read.memoryUsed > 0 && read.memoryUsed <= read.memoryMax);
    assert.ok(read.heapUsed > 0 && read.heapUsed <= read.heapMax);
  } finally {
    probe.stop();
  }
});

test('the static probe says what it was told', () => {
  const probe = new StaticProbe({ cpu: 0.5 });
  probe.set({ inFlight: 3 });
  assert.deepEqual([probe.sample().cpu, probe.sample().inFlight], [0.5, 3]);
});
