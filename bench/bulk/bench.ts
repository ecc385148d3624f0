// B1 to B3: many bytes one way between two processes.
import path from 'node:path';
import { defineBench, nodeContestant } from '../harness.ts';
import { compileC, programOf } from '../messaging/compile.ts';
import type { BulkWorkload } from './measure.ts';

const here = (file: string) => path.join(import.meta.dirname, file);

const KIB = 1024;
const MIB = 1024 * KIB;

/** Blocks of the C contestant, as its goal has it. */
const C_BLOCK_BYTES = 256 * KIB;

const workload: BulkWorkload = {
  totalBytes: 256 * MIB,
  blockBytes: 1 * MIB,
  callBytes: 16 * MIB,
  callsInFlight: 4,
  warmUpTransfers: 1,
  transfers: 3,
};

const quickWorkload: BulkWorkload = {
  totalBytes: 4 * MIB,
  blockBytes: 1 * MIB,
  callBytes: 1 * MIB,
  callsInFlight: 2,
  warmUpTransfers: 1,
  transfers: 1,
};

const rate = (contestant: string) => [contestant, 'mibPerSecond'] as const;

export const bench = defineBench({
  name: 'bulk',
  summary: '256 MiB one way over TLS against TCP in C and quinn from Node',
  needs: 'gcc for B1; npm install --prefix bench/peers for B2 and B3',
  workload,
  quickWorkload,
  rounds: 3,
  contestants: [
    nodeContestant('flotilla', here('flotilla.ts')),
    nodeContestant('flotilla-quic', here('flotilla.ts'), 'quic'),
    {
      name: 'c-tcp',
      prepare: () => compileC(here('tcp.c')),
      command: ({ totalBytes, warmUpTransfers, transfers }) => [
        programOf(here('tcp.c')),
        ...[totalBytes, C_BLOCK_BYTES, warmUpTransfers, transfers].map(String),
      ],
    },
    nodeContestant('libp2p-quic', here('quic-peer.ts'), 'wrapper'),
    nodeContestant('quic-binding', here('quic-peer.ts'), 'binding'),
  ],
  ratios: {
    B1: {
      title: 'TLS vs C TCP, 256 KiB blocks',
      of: rate('flotilla'),
      over: rate('c-tcp'),
      target: { atLeast: 0.6 },
    },
    B2: {
      title: 'TLS vs quinn from Node (libp2p-quic)',
      of: rate('flotilla'),
      over: rate('libp2p-quic'),
      target: { atLeast: 4 },
    },
    B3: {
      title: 'QUIC vs the same wrapper',
      of: rate('flotilla-quic'),
      over: rate('libp2p-quic'),
      target: { atLeast: 3 },
    },
  },
});
