// Hostile bytes over real sockets: who holds a certificate of the cluster and speaks garbage on it,
// on the socket of links and on that of bulk transfers, loses its own connection only.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import tls from 'node:tls';
import { createPrng, silentLogger, systemClock } from '../../src/core/index.ts';
import { PeerHost } from '../../src/peer/index.ts';
import { BULK_PROTOCOL, PEER_PROTOCOL } from '../../src/transport/defaults.ts';
import { TlsTransport } from '../../src/transport/index.ts';
import { createAuthority } from '../peer/networks.ts';
import { Generator } from './generator.ts';
import { offerProcedures, recordCorpora } from './live-peer.ts';

const SEED = 3;
const CONNECTIONS = 40;

test('garbage behind a valid certificate costs its sender the connection only', async (t) => {
  const authority = await createAuthority();
  const hosts: PeerHost[] = [];
  const host = async (name: string) => {
    const credentials = await authority.credentials(name);
    const components = { clock: systemClock, log: silentLogger };
    const transport = new TlsTransport({ credentials, ...components });
    const made = new PeerHost({ transport, ...components, prng: createPrng(SEED, hosts.length) });
    hosts.push(made);
    const { port } = await made.listen({ host: '127.0.0.1', port: 0 });
    return { host: made, port };
  };
  try {
    const victim = await host('node-a');
    const friend = await host('node-b');
    offerProcedures(victim.host);
    victim.host.onRelay(() => {});
    const ended: string[] = [];
    victim.host.onDisconnect(({ name }) => void ended.push(name));
    await friend.host.connect(`127.0.0.1:${victim.port}`);
    let settled = false;
    const long = friend.host.call('node-a', 'never', { body: null }, { timeoutMs: 1e6 });
    const done = () => {
      settled = true;
    };
    long.then(done, done);

    const { certificatePem, privateKeyPem, caPem } = await authority.credentials('node-x');
    const { dialler } = await recordCorpora();
    let frames = 0;
    for (let i = 0; i < CONNECTIONS; i++) {
      const generator = new Generator(dialler, SEED, i);
      const socket = tls.connect({
        host: '127.0.0.1',
        port: victim.port,
        cert: certificatePem,
        key: privateKeyPem,
        ca: caPem,
        ALPNProtocols: [i % 4 === 3 ? BULK_PROTOCOL : PEER_PROTOCOL],
        checkServerIdentity: () => undefined,
      });
      socket.on('error', () => {});
      socket.resume();
      await once(socket, 'secureConnect');
      for (const frame of generator.connection()) {
        frames++;
        for (const piece of generator.cut(frame)) socket.write(piece);
      }
      socket.end();
      if (!socket.closed) await once(socket, 'close');
      assert.equal((await friend.host.call('node-a', 'echo', { body: i })).body, i);
    }
    assert.deepEqual(
      ended.filter((name) => name !== 'node-x'),
      [],
    );
    assert.equal(settled, false, 'the open call of the healthy peer goes on');
    t.diagnostic(`${frames} frames over ${CONNECTIONS} sockets`);
  } finally {
    await Promise.all(hosts.map((made) => made.stop()));
    authority.remove();
  }
});
