// What a peer that breaks the protocol costs: its own connection, and nobody else anything.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPrng, FlotillaError, hasCode } from '../../src/core/index.ts';
import { LANES, STREAM_KINDS } from '../../src/peer/index.ts';
import { TRANSPORT_DEFAULTS } from '../../src/transport/index.ts';
import { encodeBody, FRAMED_PREFIX_BYTES, writeFramedPrefix } from '../../src/wire/index.ts';
import { createNetwork, NETWORK_KINDS } from './networks.ts';
import type { Link, SendStream } from '../../src/transport/index.ts';
import type { TestNetwork } from './networks.ts';

const GREETING = {
  name: 'node-x',
  instance: 'x',
  versions: [1, 1],
  maxMessageBytes: 1000,
  attempt: 0,
};

function framed(head: Uint8Array, claimed = head.length): Buffer {
  const message = Buffer.alloc(FRAMED_PREFIX_BYTES + head.length);
  writeFramedPrefix(message, 0, { headBytes: head.length, bytes: claimed - head.length });
  message.set(head, FRAMED_PREFIX_BYTES);
  return message;
}

function bodyOf(value: unknown): Uint8Array {
  const { buffer, start, end } = encodeBody(value);
  return buffer.slice(start, end);
}

/** The enemy's end of a connection: any stream, any bytes. */
class Enemy {
  readonly link: Link;
  readonly ended: Promise<FlotillaError>;

  constructor(link: Link) {
    this.link = link;
    this.ended = new Promise((resolve) => {
      link.open({ stream: () => ({ data() {}, end() {}, reset() {} }), closed: resolve });
    });
  }

  framed(lane: keyof typeof LANES, name = ''): SendStream {
    const preamble = [STREAM_KINDS.framed, LANES[lane], ...Buffer.from(name)];
    return this.link.openStream(Uint8Array.from(preamble));
  }

  greet(greeting: object = GREETING): void {
    const hello = this.framed('control', 'hello');
    hello.write(framed(bodyOf(greeting)));
    // What is opened after its end is seen after it.
    hello.end();
  }
}

type Attack = (enemy: Enemy) => void;

const request = (type: number, rest = '') =>
  framed(Buffer.from(`${Buffer.from([type]).toString('hex')}${rest}`, 'hex'));

const ATTACKS: Record<string, Attack> = {
  'a request before the greeting': (enemy) => void enemy.framed('requests').write(request(1)),
  'a greeting that is no map': (enemy) => {
    enemy.framed('control', 'hello').write(framed(bodyOf(['x'])));
  },
  'a greeting without fields': (enemy) => enemy.greet({}),
  'a second greeting': (enemy) => {
    enemy.greet();
    enemy.greet();
  },
  'a welcome instead of a hello': (enemy) => {
    enemy.framed('control', 'welcome').write(framed(bodyOf(GREETING)));
  },
  'an unknown stream kind': (enemy) => {
    enemy.greet();
    enemy.link.openStream(Uint8Array.of(0x77));
  },
  'an empty preamble': (enemy) => {
    enemy.greet();
    enemy.link.openStream(new Uint8Array(0));
  },
  'a length of 4 GiB and nothing after it': (enemy) => {
    enemy.greet();
    const message = framed(new Uint8Array(0));
    message.writeUInt32LE(1, 4);
    enemy.framed('requests').write(message);
  },
  'a request of an unknown type': (enemy) => {
    enemy.greet();
    enemy.framed('requests').write(request(9, '00000000000000000000000000'));
  },
  'a request that is cut off': (enemy) => {
    enemy.greet();
    enemy.framed('requests').write(request(1, '0000'));
  },
  'a request for a procedure that was never named': (enemy) => {
    enemy.greet();
    enemy.framed('requests').write(request(1, '000500010000000010000000'));
  },
  'a body that is no MessagePack': (enemy) => {
    enemy.greet();
    enemy.framed('control', 'beat').write(framed(Uint8Array.of(0xc1)));
  },
  'an array of four billion elements': (enemy) => {
    enemy.greet();
    enemy.framed('control', 'beat').write(framed(Uint8Array.of(0xdd, 255, 255, 255, 255)));
  },
  'a stream that ends within a message': (enemy) => {
    enemy.greet();
    const stream = enemy.framed('control', 'beat');
    stream.write(framed(Uint8Array.of(1), 100));
    stream.end();
  },
  'control kinds without end': (enemy) => {
    enemy.greet();
    const streams = TRANSPORT_DEFAULTS.maxInboundStreams + 1;
    for (let i = 0; i < streams; i++) enemy.framed('control', `kind-${i}`);
  },
};

async function withVictim(
  kind: TestNetwork['kind'],
  use: (setting: {
    network: TestNetwork;
    enemy(): Promise<Enemy>;
    /** Asserts that a friend's long call and new calls are untouched. */
    unharmed(): Promise<void>;
  }) => Promise<void>,
): Promise<void> {
  const network = await createNetwork(kind);
  try {
    const victim = await network.node('node-a');
    const friend = await network.node('node-b');
    friend.host.learn('node-a', victim.address);
    let answer = () => {};
    victim.host.handle('long', async () => {
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      return { body: 'answered' };
    });
    victim.host.handle('ping', () => ({ body: 'pong' }));
    const ping = () => network.settle(friend.host.call('node-a', 'ping', { body: null }));
    const long = friend.host.call('node-a', 'long', { body: null }, { timeoutMs: 10_000_000 });
    await ping();
    const transport = await network.transport('node-x');
    await use({
      network,
      async enemy() {
        return new Enemy(await network.settle(transport.connect(victim.address)));
      },
      async unharmed() {
        assert.equal((await ping()).body, 'pong');
      },
    });
    answer();
    assert.equal((await network.settle(long)).body, 'answered');
  } finally {
    await network.stop();
  }
}

for (const kind of NETWORK_KINDS) {
  test(`${kind}: each breach of the protocol costs its sender the connection only`, async () => {
    await withVictim(kind, async ({ network, enemy, unharmed }) => {
      for (const [name, attack] of Object.entries(ATTACKS)) {
        const attacker = await enemy();
        attack(attacker);
        const reason = await network.settle(attacker.ended);
        assert.ok(hasCode(reason, 'frame_invalid'), `${name}: ${reason.code} ${reason.message}`);
        await unharmed();
      }
    });
  });

  test(`${kind}: a greeting under another name than the certificate's is refused`, async () => {
    await withVictim(kind, async ({ network, enemy, unharmed }) => {
      const attacker = await enemy();
      attacker.greet({ ...GREETING, name: 'node-b' });
      assert.ok(hasCode(await network.settle(attacker.ended), 'identity_refused'));
      await unharmed();
    });
  });

  test(`${kind}: a peer that never greets is put off after the time for it`, async () => {
    await withVictim(kind, async ({ network, enemy, unharmed }) => {
      const attacker = await enemy();
      await unharmed();
      network.clock.advance(11_000);
      assert.ok(hasCode(await network.settle(attacker.ended), 'frame_invalid'));
      await unharmed();
    });
  });

  test(`${kind}: an answer that nobody waits for is counted and dropped`, async () => {
    await withVictim(kind, async ({ enemy, unharmed }) => {
      const attacker = await enemy();
      attacker.greet();
      attacker.framed('responses').write(request(3, '000000ffff0000c0'));
      await unharmed();
      assert.equal(attacker.link.closed, false);
    });
  });

  test(`${kind}: random bytes on every lane never crash a node or touch another peer`, async () => {
    await withVictim(kind, async ({ network, enemy, unharmed }) => {
      const prng = createPrng(42);
      for (let round = 0; round < 40; round++) {
        const attacker = await enemy();
        attacker.greet();
        const lanes = Object.keys(LANES) as (keyof typeof LANES)[];
        for (const lane of lanes) {
          const noise = Uint8Array.from({ length: 1 + prng.int(300) }, () => prng.int(256));
          // Half of the rounds behind a sound prefix, so that the noise is read as fields and body.
          const stream = attacker.framed(lane, lane === 'control' ? 'beat' : '');
          stream.write(round % 2 === 0 ? noise : framed(noise));
        }
        attacker.link.destroy(await lastWord(network, attacker));
        await unharmed();
      }
    });
  });
}

/** The reason that the victim gave, or the enemy's own when it was let be. */
async function lastWord(network: TestNetwork, attacker: Enemy): Promise<FlotillaError> {
  const own = new FlotillaError('link_closed', 'the enemy leaves');
  const leaving = network.settle(
    new Promise<FlotillaError>((resolve) => setImmediate(() => resolve(own))),
  );
  return Promise.race([attacker.ended, leaving]);
}
