export { formatAddress, parseAddress } from './address.ts';
export { TRANSPORT_DEFAULTS } from './defaults.ts';
export { TRANSPORT_ERRORS } from './errors.ts';
export { requestJoin } from './join-client.ts';
export { MemoryNetwork } from './memory.ts';
export { QuicTransport } from './quic.ts';
export { TlsTransport } from './tls.ts';
export type { JoinOptions } from './join-client.ts';
export type { JoinReply, JoinRequest, OnJoin } from './join-messages.ts';
export type {
  Address,
  ConnectOptions,
  Link,
  LinkHandlers,
  LinkIdentity,
  ReceiveStream,
  SendStream,
  SendStreamEvents,
  StreamReader,
  Transport,
} from './link.ts';
export type { CrashOptions, MemoryNetworkComponents } from './memory.ts';
export type { MemoryCounters, MemoryEvent, MemoryStep } from './memory-trace.ts';
export type { MemoryConditions, MemoryNetworkOptions } from './memory-wire.ts';
export type { QuicBulkCounters } from './quic-bulk.ts';
export type { QuicTransportComponents, QuicTransportOptions } from './quic.ts';
export type { TlsTransportComponents, TlsTransportOptions } from './tls.ts';
