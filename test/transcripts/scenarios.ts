// What nodes say to each other in a few exchanges, byte by byte, with fixed names, instances and
// clock. `node test/transcripts/scenarios.ts` writes the transcripts anew after a wanted change.
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createPrng, FlotillaError, silentLogger } from '../../src/core/index.ts';
import { PeerHost } from '../../src/peer/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import { PipeNetwork } from '../fuzz/pipes.ts';
import { cutFrames, describeFrame } from './frames.ts';

export interface Nodes {
  readonly a: PeerHost;
  readonly b: PeerHost;
  readonly c: PeerHost;
  /** Connects a to b. */
  connect(): Promise<void>;
  /** Connects b to c, too. */
  connectFurther(): Promise<void>;
  /** Lets everything that was said arrive. */
  quiet(): Promise<void>;
}

export interface Scenario {
  readonly title: string;
  play(nodes: Nodes): Promise<void>;
}

/** Bytes of one direction, in the order in which they were written. */
export interface Said {
  readonly from: string;
  readonly to: string;
  readonly bytes: Buffer;
}

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  greeting: {
    title: 'hello of the end that dials, welcome of the other',
    play: ({ connect }) => connect(),
  },
  call: {
    title: 'a call that names its procedure, its answer; a second call by number, with bytes',
    async play({ connect, a }) {
      await connect();
      await a.call('node-b', 'echo', { body: { text: 'first', count: 1 } });
      await a.call('node-b', 'echo', { body: null, bytes: Buffer.from('beside the body') });
    },
  },
  error: {
    title: 'an error of the handler, and a procedure that does not exist',
    async play({ connect, a }) {
      await connect();
      await a.call('node-b', 'fail', { body: undefined }).catch(() => {});
      await a.call('node-b', 'no-such-thing', { body: undefined }).catch(() => {});
    },
  },
  cancel: {
    title: 'a call that the caller cancels',
    async play({ connect, a, quiet }) {
      await connect();
      const controller = new AbortController();
      const call = a.call('node-b', 'never', { body: 7 }, { signal: controller.signal });
      await quiet();
      controller.abort();
      await call.catch(() => {});
      await quiet();
    },
  },
  control: {
    title: 'two kinds of control messages',
    async play({ connect, a, quiet }) {
      await connect();
      a.sendControl('node-b', 'beat', { epoch: 3 });
      a.sendControl('node-b', 'beat', { epoch: 4 });
      a.sendControl('node-b', 'ring', [1, 2, 3]);
      await quiet();
    },
  },
  channels: {
    title: 'a data message, 64 messages of a tag and the credit for them, the removal of the tag',
    async play({ connect, a, b, quiet }) {
      await connect();
      const { data } = a.peer('node-b')!;
      await data.send({ body: { row: 5 }, bytes: Uint8Array.of(1, 2, 3) });
      await b.peer('node-a')!.data.receive();
      const tag = a.peer('node-b')!.tag(0x0102030405060708n);
      for (let i = 0; i < 64; i++) void tag.send(Uint8Array.of(i));
      const inbox = b.peer('node-a')!.tag(0x0102030405060708n);
      for (let i = 0; i < 64; i++) await inbox.receive();
      await quiet();
      inbox.remove();
      await quiet();
    },
  },
  raw: {
    title: 'the raw lane and a communicator',
    async play({ connect, a, b, quiet }) {
      await connect();
      const peer = a.peer('node-b')!;
      await peer.raw.send(Buffer.from('raw bytes'));
      await peer.communicator(42n).send(Buffer.from('of a communicator'));
      await quiet();
      await b.peer('node-a')!.raw.receive();
    },
  },
  relay: {
    title: 'a message from a to c over b with its notice, and one that finds no way',
    async play({ connect, connectFurther, a, b, c }) {
      await connect();
      await connectFurther();
      a.routeRelays(() => ({ next: 'node-b' }));
      c.routeRelays(() => ({ next: 'node-b' }));
      b.routeRelays(() => undefined);
      await a.relay('node-c', { body: 'hi', bytes: Buffer.from('with bytes') });
      await a.relay('node-z', { body: 'hi' }).catch(() => {});
    },
  },
  closing: {
    title: 'a node stops: what was queued, then the reason',
    async play({ connect, a, quiet }) {
      await connect();
      a.sendControl('node-b', 'beat', { last: true });
      await a.stop();
      await quiet();
    },
  },
};

/** Plays a scenario on fresh nodes; what was said until it ended. */
export async function playScenario({ play }: Scenario): Promise<Said[]> {
  const network = new PipeNetwork();
  const said: Said[] = [];
  network.record = (from, to, bytes) => void said.push({ from, to, bytes });
  const clock = new SimulatedClock();
  const hosts: PeerHost[] = [];
  const addresses: string[] = [];
  for (const [index, letter] of ['a', 'b', 'c'].entries()) {
    const transport = network.transport(`node-${letter}`);
    const prng = createPrng(1, index);
    const host = new PeerHost({ transport, clock, log: silentLogger, prng });
    host.handle('echo', (request) => request);
    host.handle('fail', () => {
      throw new FlotillaError('key_invalid', 'the key is no key', { details: { key: 'k' } });
    });
    host.handle('never', () => new Promise(() => {}));
    host.onRelay(() => {});
    const { port } = await host.listen({ host: 'host', port: 0 });
    addresses.push(`host:${port}`);
    hosts.push(host);
  }
  const [a, b, c] = hosts as [PeerHost, PeerHost, PeerHost];
  const quiet = () => clock.run(100);
  await play({
    a,
    b,
    c,
    quiet,
    async connect() {
      await a.connect(addresses[1]!);
      await quiet();
    },
    async connectFurther() {
      await b.connect(addresses[2]!);
      await quiet();
    },
  });
  const result = [...said];
  await clock.resolve(Promise.all(hosts.map((host) => host.stop())));
  return result;
}

const HEX_BYTES_PER_LINE = 32;

/** A transcript: a line of comment per frame, then its bytes. */
export function renderTranscript(title: string, said: readonly Said[]): string {
  const lines = [`# ${title}`, '# Frames as docs/protocol.md describes them; see scenarios.ts.'];
  const rests = new Map<string, Buffer>();
  for (const { from, to, bytes } of said) {
    const way = `${from} > ${to}`;
    const { frames, rest } = cutFrames(Buffer.concat([rests.get(way) ?? Buffer.alloc(0), bytes]));
    rests.set(way, rest);
    for (const frame of frames) {
      lines.push('', `# ${describeFrame(frame)}`, way);
      for (let at = 0; at < frame.length; at += HEX_BYTES_PER_LINE) {
        lines.push(`  ${frame.toString('hex', at, at + HEX_BYTES_PER_LINE)}`);
      }
    }
  }
  return `${lines.join('\n')}\n`;
}

/** Bytes of a transcript by direction, comments aside. */
export function readTranscript(text: string): Map<string, Buffer> {
  const ways = new Map<string, Buffer[]>();
  let current: Buffer[] = [];
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    if (line.startsWith('  ')) {
      current.push(Buffer.from(line.trim(), 'hex'));
      continue;
    }
    current = ways.get(line) ?? [];
    ways.set(line, current);
  }
  return new Map([...ways].map(([way, parts]) => [way, Buffer.concat(parts)]));
}

if (import.meta.main) {
  const folder = import.meta.dirname;
  for (const name of readdirSync(folder)) {
    if (name.endsWith('.txt')) rmSync(path.join(folder, name));
  }
  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    const text = renderTranscript(scenario.title, await playScenario(scenario));
    writeFileSync(path.join(folder, `${name}.txt`), text);
  }
}
