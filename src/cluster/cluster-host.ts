// What membership needs of a node's connections: `PeerHost` has it, and a simulation can have it
// with far less work for each message.
import type { CallOptions, ControlHandler, Handler, Payload } from '../peer/index.ts';

/** Whom this node is connected to, and how much each of them has sent. */
export interface PeerTraffic {
  readonly name: string;
  readonly metrics: {
    readonly requests: { readonly receivedMessages: number };
    readonly responses: { readonly receivedMessages: number };
    readonly channels: { readonly receivedMessages: number };
  };
}

export interface ClusterHost {
  readonly name: string;
  /** Teaches where a name can be dialled, `host:port`. */
  learn(name: string, address: string): void;
  /** Dials a name no more. */
  forget(name: string): void;
  /** Ends the connections to a name now: what waits on them fails, and `why` says the reason. */
  disconnect(name: string, why: string): void;
  /** Connects to whoever is at an address, unless that is so already. */
  connect(address: string): Promise<{ readonly name: string }>;
  call(name: string, procedure: string, request: Payload, options?: CallOptions): Promise<Payload>;
  handle(procedure: string, handler: Handler): void;
  /** Fire-and-forget. False without a live connection, or when it takes no more. */
  sendControl(name: string, kind: string, body: unknown): boolean;
  onControl(kind: string, handler: ControlHandler): void;
  onDisconnect(listener: (peer: { readonly name: string }) => void): void;
  peers(): readonly PeerTraffic[];
}
