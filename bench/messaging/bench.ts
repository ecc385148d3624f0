// M1 to M5: request and response between two processes, many in flight and one at a time.
import path from 'node:path';
import { defineBench, nodeContestant } from '../harness.ts';
import { compileC, programOf } from './compile.ts';
import type { Figure, Ratio } from '../harness.ts';
import type { MessagingWorkload } from './measure.ts';

const here = (file: string) => path.join(import.meta.dirname, file);

const workload: MessagingWorkload = {
  messageBytes: 64,
  warmUpMs: 1000,
  measureMs: 1500,
  sliceMs: 250,
  sizes: [1024, 64 * 1024, 16 * 1024 * 1024],
  sizeMs: 400,
  seed: 1,
};

const quickWorkload: MessagingWorkload = {
  messageBytes: 64,
  warmUpMs: 10,
  measureMs: 30,
  sliceMs: 15,
  sizes: [1024, 64 * 1024],
  sizeMs: 10,
  seed: 1,
};

function versus(title: string, figures: readonly [Figure, Figure], target: Ratio['target']): Ratio {
  return { title, of: figures[0], over: figures[1], target };
}

const at1000 = (contestant: string): Figure => [contestant, 'callsPerSecondAt1000'];
const at100 = (contestant: string): Figure => [contestant, 'callsPerSecondAt100'];
const roundTrip = (contestant: string): Figure => [contestant, 'roundTripUs'];

export const bench = defineBench({
  name: 'messaging',
  summary: '64 B request and response over TLS against gRPC, NATS, zeromq.js, libp2p and C',
  needs: 'npm install --prefix bench/peers; nats-server for M3a and M5; gcc for M4a',
  workload,
  quickWorkload,
  rounds: 3,
  contestants: [
    nodeContestant('flotilla', here('flotilla.ts')),
    nodeContestant('flotilla-quic', here('flotilla.ts'), 'quic'),
    nodeContestant('grpc-js', here('grpc.ts')),
    nodeContestant('nats', here('nats.ts')),
    nodeContestant('zeromq.js', here('zeromq.ts')),
    nodeContestant('libp2p', here('libp2p.ts')),
    nodeContestant('framed-tls', here('framed-tls.ts')),
    {
      name: 'c-tcp',
      prepare: () => compileC(here('tcp.c')),
      command: (given) => {
        const { messageBytes, warmUpMs, measureMs, sizeMs, sizes } = given as MessagingWorkload;
        const numbers = [messageBytes, warmUpMs, measureMs, sizeMs, ...sizes];
        return [programOf(here('tcp.c')), ...numbers.map(String)];
      },
    },
  ],
  ratios: {
    M1: versus('100 in flight, calls/s vs grpc-js', [at100('flotilla'), at100('grpc-js')], {
      atLeast: 25,
    }),
    M2: versus('1000 in flight, calls/s vs grpc-js', [at1000('flotilla'), at1000('grpc-js')], {
      atLeast: 60,
    }),
    M3a: versus('1000 in flight, calls/s vs NATS', [at1000('flotilla'), at1000('nats')], {
      atLeast: 20,
    }),
    M3b: versus('the same vs zeromq.js', [at1000('flotilla'), at1000('zeromq.js')], {
      atLeast: 8,
    }),
    M4a: versus('round trip p50 vs C TCP', [roundTrip('flotilla'), roundTrip('c-tcp')], {
      atMost: 1.35,
    }),
    M4b: versus('round trip p50 vs grpc-js', [roundTrip('flotilla'), roundTrip('grpc-js')], {
      atMost: 0.5,
    }),
    M5: versus('QUIC, 1000 in flight, vs NATS', [at1000('flotilla-quic'), at1000('nats')], {
      atLeast: 8,
    }),
  },
});
