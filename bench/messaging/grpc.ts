// Contestant: unary calls of `@grpc/grpc-js` over TLS, bytes in and bytes out (no protobuf).
import { loadPeer } from '../peers/load.ts';
import { readMode, readWorkload, report } from '../harness.ts';
import { createCredentials, SERVER_NAME } from './certificates.ts';
import { measureCalls } from './measure.ts';
import { serve, startServer } from './server-process.ts';
import type { Credentials } from '../../src/identity/index.ts';
import type { MessagingWorkload } from './measure.ts';

type Callback = (error: Error | null, response: Buffer) => void;
type Coder = (bytes: Buffer) => Buffer;

interface Grpc {
  readonly credentials: { createSsl(ca: Buffer): object };
  readonly ServerCredentials: {
    createSsl(
      ca: Buffer | null,
      pairs: readonly { private_key: Buffer; cert_chain: Buffer }[],
      checkClient: boolean,
    ): object;
  };
  readonly Client: new (
    address: string,
    credentials: object,
    options: object,
  ) => {
    makeUnaryRequest(
      path: string,
      encode: Coder,
      decode: Coder,
      request: Buffer,
      callback: Callback,
    ): void;
    close(): void;
  };
  readonly Server: new (
    options: object,
  ) => {
    addService(
      service: object,
      handlers: Record<string, (call: { request: Buffer }, callback: Callback) => void>,
    ): void;
    bindAsync(
      address: string,
      credentials: object,
      callback: (error: Error | null, port: number) => void,
    ): void;
  };
}

const PATH = '/bench.Echo/Echo';
const LIMITS = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };

const same: Coder = (bytes) => bytes;
const { default: grpc } = await loadPeer<{ default: Grpc }>('@grpc/grpc-js');

function startEcho({ certificatePem, privateKeyPem }: Credentials): Promise<{ port: number }> {
  const server = new grpc.Server(LIMITS);
  const definition = {
    path: PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  server.addService(
    { echo: definition },
    { echo: ({ request }, callback) => callback(null, request) },
  );
  const pair = { private_key: Buffer.from(privateKeyPem), cert_chain: Buffer.from(certificatePem) };
  const credentials = grpc.ServerCredentials.createSsl(null, [pair], false);
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, port) => {
      if (error === null) resolve({ port });
      else reject(error);
    });
  });
}

async function main(): Promise<void> {
  const { server, client } = await createCredentials();
  const { ready, pid, stop } = await startServer<{ port: number }>(import.meta.filename, server);
  const caller = new grpc.Client(
    `127.0.0.1:${ready.port}`,
    grpc.credentials.createSsl(Buffer.from(client.caPem)),
    { ...LIMITS, 'grpc.ssl_target_name_override': SERVER_NAME },
  );
  const figures = await measureCalls(
    readWorkload<MessagingWorkload>(),
    (bytes) =>
      new Promise((resolve, reject) => {
        caller.makeUnaryRequest(PATH, same, same, bytes, (error, response) => {
          if (error === null) resolve(response);
          else reject(error);
        });
      }),
    pid,
  );
  caller.close();
  await stop();
  report(figures);
}

if (readMode() === 'server') serve<Credentials>(startEcho);
else await main();
