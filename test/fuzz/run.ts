// The fuzz run: hostile frames from a seed against decoders and a live node. As a program:
// `node test/fuzz/run.ts --seed 1 --frames 2000000`, which exits with 1 and the place on a failure.
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import v8 from 'node:v8';
import vm from 'node:vm';
import { feedDecoders } from './decoders.ts';
import { Generator } from './generator.ts';
import { attack, LivePeer, recordCorpora } from './live-peer.ts';

export interface FuzzSummary {
  readonly seed: number;
  readonly decoderFrames: number;
  readonly liveFrames: number;
  readonly connections: number;
  readonly seconds: number;
  /** Heap and external memory after collection, at the end less near the start. */
  readonly growthBytes: number;
}

/** A failure and the place to find it again. */
export class FuzzFailure extends Error {
  constructor(at: { seed: number; connection: number; frame: number }, cause: unknown) {
    const where = `seed ${at.seed}, connection ${at.connection}, frame ${at.frame}`;
    super(`${where}: ${cause instanceof Error ? cause.stack : String(cause)}`, { cause });
  }
}

const MIB = 1024 * 1024;
const MAX_GROWTH_BYTES = 32 * MIB;
const CHECK_EVERY = 50;

/** Half of `frames` goes to the decoders, half to a live node. Throws `FuzzFailure`. */
export async function fuzz({
  seed,
  frames,
}: {
  seed: number;
  frames: number;
}): Promise<FuzzSummary> {
  const corpora = await recordCorpora();
  const startedMs = performance.now();
  const at = { seed, connection: 0, frame: 0 };
  let uncaught: unknown;
  const onUncaught = (error: unknown) => {
    uncaught ??= error;
  };
  process.on('uncaughtException', onUncaught);
  process.on('unhandledRejection', onUncaught);
  const peer = new LivePeer();
  let decoderFrames = 0;
  let liveFrames = 0;
  let firstBytes = 0;
  try {
    await peer.start();
    while (decoderFrames + liveFrames < frames) {
      const dials = at.connection % 2 === 0;
      const corpus = dials ? corpora.dialler : corpora.accepter;
      // The same frames for both, from the same seed.
      if (decoderFrames <= liveFrames) {
        decoderFrames += feedDecoders(new Generator(corpus, seed, at.connection));
      }
      at.frame = 0;
      const generator = new Generator(corpus, seed, at.connection);
      liveFrames += await attack(peer, generator, { dials, onFrame: () => void at.frame++ });
      await peer.settle();
      if (uncaught !== undefined) throw uncaught;
      if (at.connection % CHECK_EVERY === 0) await peer.assertUnharmed();
      if (firstBytes === 0 && decoderFrames + liveFrames > frames / 10) firstBytes = usedBytes();
      at.connection++;
    }
    await peer.assertUnharmed();
    await peer.settle();
    assert.equal(peer.victim.peers().length, 1, 'connections of the enemy are gone');
    const growthBytes = usedBytes() - firstBytes;
    assert.ok(growthBytes < MAX_GROWTH_BYTES, `memory grew by ${growthBytes} bytes`);
    const seconds = (performance.now() - startedMs) / 1000;
    return { seed, decoderFrames, liveFrames, connections: at.connection, seconds, growthBytes };
  } catch (error) {
    throw new FuzzFailure(at, error);
  } finally {
    await peer.stop();
    process.off('uncaughtException', onUncaught);
    process.off('unhandledRejection', onUncaught);
  }
}

/** Memory in use once garbage is collected. */
export function usedBytes(): number {
  v8.setFlagsFromString('--expose-gc');
  const gc = vm.runInNewContext('gc') as () => void;
  gc();
  gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

export function summaryOf(summary: FuzzSummary): string {
  const { seed, decoderFrames, liveFrames, connections, seconds, growthBytes } = summary;
  return (
    `seed ${seed}: ${decoderFrames} frames into decoders, ${liveFrames} into a live node over ` +
    `${connections} connections in ${seconds.toFixed(1)} s; ` +
    `memory ${(growthBytes / MIB).toFixed(1)} MiB`
  );
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { seed: { type: 'string' }, frames: { type: 'string', default: '2000000' } },
  });
  const seed = values.seed === undefined ? Date.now() % 2 ** 32 : Number(values.seed);
  try {
    process.stdout.write(`${summaryOf(await fuzz({ seed, frames: Number(values.frames) }))}\n`);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}

if (import.meta.main) await main();
