export { PEER_DEFAULTS, PROTOCOL_VERSIONS } from './defaults.ts';
export { PEER_ERRORS } from './errors.ts';
export { LANES, STREAM_KINDS } from './lanes.ts';
export { releaseBytes } from './payload.ts';
export { Peer } from './peer.ts';
export { PeerHost } from './peer-host.ts';
export { fullMesh, hypercube, kRegular, relayRoute } from './topology.ts';
export type { Channel, ChannelOptions, RawChannel, ReceiveOptions } from './channel.ts';
export type { VersionRange } from './handshake.ts';
export type { LaneCounters, PeerMetrics } from './metrics.ts';
export type {
  CallContext,
  CallOptions,
  ControlHandler,
  Handler,
  Payload,
  RpcHost,
} from './payload.ts';
export type { PeerLimits } from './peer.ts';
export type { RelayHandler, RelayHops, RelayRoute } from './relay.ts';
export type { Topology } from './topology.ts';
export type { PeerHostComponents, PeerHostOptions } from './peer-host.ts';
