// Contestant: RPC of a `PeerHost` over TLS; 64 bytes travel as the bytes of a payload. With the
// mode `quic` the same over the QUIC transport.
import { systemClock, silentLogger } from '../../src/core/index.ts';
import { PeerHost } from '../../src/peer/index.ts';
import { readMode, readWorkload, report } from '../harness.ts';
import { createCredentials, SERVER_NAME } from './certificates.ts';
import { measureCalls } from './measure.ts';
import { serve, startServer } from './server-process.ts';
import { createTransport } from './transports.ts';
import type { Credentials } from '../../src/identity/index.ts';
import type { MessagingWorkload } from './measure.ts';
import type { TransportKind } from './transports.ts';

interface Setup {
  readonly credentials: Credentials;
  readonly kind: TransportKind;
}

function createHost({ credentials, kind }: Setup): PeerHost {
  const transport = createTransport(kind, credentials);
  return new PeerHost({ transport, clock: systemClock, log: silentLogger });
}

async function main(kind: TransportKind): Promise<void> {
  const { client, server } = await createCredentials();
  const host = createHost({ credentials: client, kind });
  const { ready, pid, stop } = await startServer<{ port: number }>(import.meta.filename, {
    credentials: server,
    kind,
  });
  await host.connect(`127.0.0.1:${ready.port}`);
  const figures = await measureCalls(
    readWorkload<MessagingWorkload>(),
    async (bytes) => {
      const response = await host.call(SERVER_NAME, 'echo', { body: null, bytes });
      return response.bytes!;
    },
    pid,
  );
  await host.stop();
  await stop();
  report(figures);
}

const mode = readMode();
if (mode === 'server') {
  serve<Setup>(async (setup) => {
    const host = createHost(setup);
    host.handle('echo', ({ bytes }) => ({ body: null, bytes: bytes! }));
    return host.listen({ host: '127.0.0.1', port: 0 });
  });
} else {
  await main(mode === 'quic' ? 'quic' : 'tls');
}
