// I1 to I3: what a control message waits for while bulk bytes flow between the same two processes.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { defineBench, nodeContestant } from '../harness.ts';
import type { Contestant } from '../harness.ts';
import type { InterferenceWorkload } from './flotilla.ts';

const here = (file: string) => path.join(import.meta.dirname, file);

const MIB = 1024 * 1024;

/** Of 2^32 values that a packet may draw, those above this one lose it. */
const lossThreshold = (loss: number) => Math.floor((1 - loss) * (2 ** 32 - 1));

const workload: InterferenceWorkload = {
  bulkBytes: 1024 * MIB,
  warmUpBytes: 64 * MIB,
  blockBytes: 1 * MIB,
  maxMs: 10_000,
  idleMs: 4_000,
  warmUpMs: 1_000,
  everyMs: 1,
  loss: 0.01,
};

const quickWorkload: InterferenceWorkload = {
  bulkBytes: 8 * MIB,
  warmUpBytes: 2 * MIB,
  blockBytes: 1 * MIB,
  maxMs: 1_000,
  idleMs: 100,
  warmUpMs: 50,
  everyMs: 1,
  loss: 0.01,
};

const contestant = (mode: string) => nodeContestant(mode, here('flotilla.ts'), mode);

/** The same on a loopback of its own that loses packets. */
function lossy(mode: string): Contestant {
  const inner = contestant(mode);
  const wrapped = (loss: number, command: readonly string[]) => [
    ...['unshare', '--map-root-user', '--net', 'sh', here('lossy.sh')],
    ...[String(lossThreshold(loss)), ...command],
  ];
  return {
    name: `${mode}-lossy`,
    command: (given) => wrapped(Number(given['loss']), inner.command(given)),
    prepare() {
      const [program = '', ...args] = wrapped(0, ['true']);
      const { status, error, stderr } = spawnSync(program, args, { encoding: 'utf8' });
      if (status === 0) return undefined;
      const reason = error?.message ?? stderr.trim();
      return `no network of its own that loses packets can be had: ${reason}`;
    },
  };
}

const underBulk = (mode: string) => ({
  title: `control p99 under bulk vs idle, ${mode}`,
  of: [mode, 'busyP99Us'] as const,
  over: [mode, 'idleP99Us'] as const,
  target: { atMost: 3 },
});

export const bench = defineBench({
  name: 'interference',
  summary: 'control round trips beside 1 GiB of bulk bytes, over TLS and QUIC, also with 1 % loss',
  needs: 'npm packages; user namespaces, ip and tc (Linux) for the figures with loss',
  workload,
  quickWorkload,
  rounds: 3,
  contestants: [
    ...['tls', 'quic', 'quic-alone'].map(contestant),
    nodeContestant('two-sockets', here('two-sockets.ts')),
    ...['tls', 'quic', 'quic-alone'].map(lossy),
  ],
  ratios: {
    I1: underBulk('tls'),
    I2: underBulk('quic'),
    I3: {
      title: 'control p99 under bulk, 1 % loss, QUIC alone vs TLS',
      of: ['quic-alone-lossy', 'busyP99Us'],
      over: ['tls-lossy', 'busyP99Us'],
      target: { atMost: 1 },
    },
  },
});
