// Contestant: zeromq.js, a Dealer and a Router over plain TCP (its own encryption is left out, in
// its favour). Answers keep the order of requests, so that none needs a number.
import { loadPeer } from '../peers/load.ts';
import { readMode, readWorkload, report } from '../harness.ts';
import { measureCalls } from './measure.ts';
import { serve, startServer } from './server-process.ts';
import type { MessagingWorkload } from './measure.ts';

interface Socket extends AsyncIterable<readonly Uint8Array[]> {
  readonly lastEndpoint: string;
  bind(address: string): Promise<void>;
  connect(address: string): void;
  send(parts: Uint8Array | readonly Uint8Array[]): Promise<void>;
  close(): void;
}

type SocketConstructor = new (options: object) => Socket;

interface ZeroMq {
  readonly Dealer: SocketConstructor;
  readonly Router: SocketConstructor;
}

/** Queues without a limit: the number in flight is the limit. */
const OPTIONS = { sendHighWaterMark: 0, receiveHighWaterMark: 0, linger: 0 };

const { default: zeromq } = await loadPeer<{ default: ZeroMq }>('zeromq');

async function startEcho(): Promise<{ endpoint: string }> {
  const router = new zeromq.Router(OPTIONS);
  await router.bind('tcp://127.0.0.1:*');
  void answer(router);
  return { endpoint: router.lastEndpoint };
}

async function answer(router: Socket): Promise<void> {
  for await (const parts of router) await router.send(parts);
}

async function main(): Promise<void> {
  const { ready, pid, stop } = await startServer<{ endpoint: string }>(import.meta.filename, {});
  const dealer = new zeromq.Dealer(OPTIONS);
  dealer.connect(ready.endpoint);
  const waiting: ((response: Uint8Array) => void)[] = [];
  let taken = 0;
  const outgoing: Uint8Array[] = [];
  let sending = false;
  // The socket takes one send at a time.
  const pump = async () => {
    sending = true;
    for (let at = 0; at < outgoing.length; at++) await dealer.send(outgoing[at]!);
    outgoing.length = 0;
    sending = false;
  };
  const receive = async () => {
    for await (const [response] of dealer) {
      waiting[taken++]?.(response!);
      if (taken === waiting.length) {
        waiting.length = 0;
        taken = 0;
      } else if (taken >= 4096) {
        waiting.splice(0, taken);
        taken = 0;
      }
    }
  };
  const receiving = receive();
  const figures = await measureCalls(
    readWorkload<MessagingWorkload>(),
    (bytes) =>
      new Promise((resolve) => {
        waiting.push(resolve);
        outgoing.push(bytes);
        if (!sending) void pump();
      }),
    pid,
  );
  dealer.close();
  await receiving;
  await stop();
  report(figures);
}

if (readMode() === 'server') serve(startEcho);
else await main();
