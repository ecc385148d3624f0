// The native QUIC binding (quinn) of `@chainsafe/libp2p-quic`: its shape, and how it is found. The
// package's own stream wrapper is not used: it reads 4 KiB at a time.
import { createRequire } from 'node:module';
import { FlotillaError, messageOf } from '../core/index.ts';
import { QUIC_BINDING_VERSION } from './defaults.ts';

export interface QuicStream {
  /** Up to `maxBytes` as they are there; null at the end. Rejects when reset or disconnected. */
  read(maxBytes: number): Promise<Uint8Array | null>;
  /** Resolves when all of it is in the connection's buffer; reads `bytes` until then. */
  write(bytes: Uint8Array): Promise<void>;
  finishWrite(): Promise<void>;
  resetWrite(): Promise<void>;
  stopRead(): Promise<void>;
}

export interface QuicConnection {
  inboundStream(): Promise<QuicStream>;
  outboundStream(): Promise<QuicStream>;
  /** `/ip4/<ip>/udp/<port>/quic-v1/p2p/<id of the key that the other end proved>`. */
  remoteMultiaddr(): string;
  /** Resolves when the connection is gone, for whatever reason. */
  closed(): Promise<void>;
  /** Closes at once; what was not delivered is lost. */
  abort(): void;
}

export interface QuicServer {
  /** The next connection, after its handshake. Rejects for a failed one, and when aborted. */
  inboundConnection(): Promise<QuicConnection>;
  port(): number;
  abort(): Promise<void>;
}

export interface QuicClient {
  outboundConnection(ip: string, port: number): Promise<QuicConnection>;
  abort(): void;
}

export interface QuinnOptions {
  readonly privateKeyProto: Uint8Array;
  readonly handshakeTimeout: number;
  readonly shutdownTimeout: number;
  readonly maxIdleTimeout: number;
  readonly keepAliveInterval: number;
  readonly maxConcurrentStreamLimit: number;
  readonly maxStreamData: number;
  readonly maxConnectionData: number;
  readonly receiveBufferSize: number;
  readonly sendBufferSize: number;
}

export interface QuicBinding {
  readonly QuinnConfig: new (options: QuinnOptions) => object;
  readonly Server: new (config: object, ip: string, port: number) => QuicServer;
  /** `family`: 0 for IPv4, 1 for IPv6. */
  readonly Client: new (
    config: object,
    family: 0 | 1,
  ) => QuicClient;
}

/** What of the binding is used; another shape is refused when it is loaded. */
export const QUIC_BINDING_SHAPE: Readonly<Record<string, readonly string[]>> = {
  QuinnConfig: [],
  Server: ['abort', 'inboundConnection', 'port'],
  Client: ['abort', 'outboundConnection'],
  Connection: ['abort', 'closed', 'inboundStream', 'outboundStream', 'remoteMultiaddr'],
  Stream: ['finishWrite', 'read', 'resetWrite', 'stopRead', 'write'],
};

/**
 * What a read rejects with when the other end reset the stream; any other rejection means that the
 * connection is gone. The binding tells them apart by its words only.
 */
export function isStreamReset(error: unknown): boolean {
  return messageOf(error).startsWith('stream reset');
}

const loaded = new Map<string, QuicBinding>();

/** The binding for this machine, loaded once. Errors: `quic_unavailable`. */
export function loadQuicBinding(name: string = quicPackageName()): QuicBinding {
  const known = loaded.get(name) ?? load(name);
  loaded.set(name, known);
  return known;
}

/** The package that holds the binding for this machine. */
export function quicPackageName(): string {
  const { platform, arch } = process;
  let suffix = '';
  if (platform === 'linux') suffix = isMusl() ? '-musl' : '-gnu';
  if (platform === 'win32') suffix = '-msvc';
  return `@chainsafe/libp2p-quic-${platform}-${arch}${suffix}`;
}

function isMusl(): boolean {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime === undefined;
}

/** Errors: `quic_unavailable`. */
function load(name: string): QuicBinding {
  const require = createRequire(import.meta.url);
  let binding: Record<string, unknown>;
  let version: string;
  try {
    ({ version } = require(`${name}/package.json`) as { version: string });
    binding = require(name) as Record<string, unknown>;
  } catch (error) {
    throw unavailable(name, 'it is not installed, or has no build for this machine', error);
  }
  if (version !== QUIC_BINDING_VERSION) {
    throw unavailable(name, `it has version ${version}, not ${QUIC_BINDING_VERSION}`);
  }
  for (const [className, methods] of Object.entries(QUIC_BINDING_SHAPE)) {
    const { prototype } = (binding[className] ?? {}) as { prototype?: object };
    const missing = methods.find((method) => prototype === undefined || !(method in prototype));
    if (prototype === undefined || missing !== undefined) {
      throw unavailable(name, `it lacks ${className}${missing === undefined ? '' : `.${missing}`}`);
    }
  }
  return binding as unknown as QuicBinding;
}

function unavailable(name: string, reason: string, cause?: unknown): FlotillaError {
  const message = `QUIC needs the package ${name} ${QUIC_BINDING_VERSION}: ${reason}`;
  const details = { package: name, version: QUIC_BINDING_VERSION };
  return new FlotillaError('quic_unavailable', message, { details, cause });
}
