// How every contestant is driven: the same loops over one function that sends a request and gives
// its response. Rates are medians of slices, so that a moment of somebody else's work does not
// count.
import { createPrng } from '../../src/core/index.ts';
import { median } from '../harness.ts';
import { pinned } from './pin.ts';

export type MessagingWorkload = Readonly<{
  /** Request and response of the goals. */
  messageBytes: number;
  /** Untimed, before each figure. */
  warmUpMs: number;
  measureMs: number;
  sliceMs: number;
  /** Further sizes, each one at a time and with some in flight. */
  sizes: readonly number[];
  /** Warm-up and measurement of a figure of these. */
  sizeMs: number;
  seed: number;
}>;

/** Sends a request and resolves with the response, which has the same bytes. */
export type Call = (request: Buffer) => Promise<Uint8Array>;

const KIB = 1024;
const MIB = 1024 * KIB;

/** Requests in flight for the further sizes: as many, but no more than this many bytes. */
const IN_FLIGHT = 100;
const MAX_IN_FLIGHT_BYTES = 64 * MIB;

/** `64B`, `1KiB`, `16MiB`. */
export function sizeLabel(bytes: number): string {
  if (bytes >= MIB) return `${bytes / MIB}MiB`;
  return bytes >= KIB ? `${bytes / KIB}KiB` : `${bytes}B`;
}

/** A `Buffer`: grpc-js takes nothing else. */
export function makeMessage(bytes: number, seed: number): Buffer {
  const prng = createPrng(seed);
  const message = Buffer.alloc(bytes);
  for (let i = 0; i < bytes; i++) message[i] = prng.int(256);
  return message;
}

/** All figures of a contestant whose other process is `serverPid`. */
export async function measureCalls(
  workload: MessagingWorkload,
  call: Call,
  serverPid: number,
): Promise<Record<string, number>> {
  const { messageBytes, warmUpMs, measureMs, sizes, sizeMs, seed, sliceMs } = workload;
  const message = makeMessage(messageBytes, seed);
  await checkEcho(call, message);
  const times = { warmUpMs, measureMs, sliceMs };
  const pids = [process.pid, serverPid];
  const figures: Record<string, number> = {
    roundTripUs: await pinned(pids, () => measureRoundTrip(times, call, message)),
  };
  for (const inFlight of [100, 1000]) {
    const { perSecond, perCpuSecond } = await measureRate(times, call, { message, inFlight });
    figures[`callsPerSecondAt${inFlight}`] = perSecond;
    figures[`callsPerCpuSecondAt${inFlight}`] = perCpuSecond;
  }
  for (const bytes of sizes) {
    const larger = makeMessage(bytes, seed);
    const shorter = { warmUpMs: sizeMs, measureMs: sizeMs, sliceMs: sizeMs / 2 };
    const inFlight = Math.max(1, Math.min(IN_FLIGHT, Math.floor(MAX_IN_FLIGHT_BYTES / bytes)));
    await checkEcho(call, larger);
    const label = sizeLabel(bytes);
    figures[`roundTripUs${label}`] = await pinned(pids, () =>
      measureRoundTrip(shorter, call, larger),
    );
    const rate = await measureRate(shorter, call, { message: larger, inFlight });
    figures[`callsPerSecond${label}At${inFlight}`] = rate.perSecond;
  }
  return figures;
}

async function checkEcho(call: Call, message: Buffer): Promise<void> {
  const response = await call(message);
  if (Buffer.compare(response, message) !== 0) throw new Error('a response with other bytes');
}

interface Times {
  readonly warmUpMs: number;
  readonly measureMs: number;
  readonly sliceMs: number;
}

/** Median round trip with nothing else in flight, in microseconds. */
async function measureRoundTrip(times: Times, call: Call, message: Buffer): Promise<number> {
  const samples: number[] = [];
  const warmAt = performance.now() + times.warmUpMs;
  const endAt = warmAt + times.measureMs;
  for (let now = performance.now(); now < endAt || samples.length === 0; ) {
    const { length } = await call(message);
    const then = now;
    now = performance.now();
    if (then >= warmAt) samples.push((now - then) * 1000);
    if (length !== message.length) throw new Error(`a response of ${length} bytes`);
  }
  return median(samples);
}

interface Rate {
  readonly perSecond: number;
  /** By the processor's time of the calling process: what a call costs, also on a busy machine. */
  readonly perCpuSecond: number;
}

/** Calls per second with `inFlight` loops that each wait for their response. */
async function measureRate(
  { warmUpMs, measureMs, sliceMs }: Times,
  call: Call,
  { message, inFlight }: { message: Buffer; inFlight: number },
): Promise<Rate> {
  let completed = 0;
  let done = false;
  const loop = async () => {
    while (!done) {
      const { length } = await call(message);
      if (length !== message.length) throw new Error(`a response of ${length} bytes`);
      completed++;
    }
  };
  const running = Promise.all(Array.from({ length: inFlight }, loop));
  const watch = async () => {
    const rates: number[] = [];
    await passing(warmUpMs);
    const endAt = performance.now() + measureMs;
    const first = completed;
    const used = process.cpuUsage();
    while (performance.now() < endAt || !(median(rates) > 0)) {
      const startedAt = performance.now();
      const before = completed;
      await passing(sliceMs);
      rates.push(((completed - before) * 1000) / (performance.now() - startedAt));
    }
    const { user, system } = process.cpuUsage(used);
    done = true;
    return {
      perSecond: median(rates),
      perCpuSecond: ((completed - first) * 1_000_000) / (user + system),
    };
  };
  const [rate] = await Promise.all([watch(), running]);
  return rate;
}

function passing(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
