// What a node process tells the supervisor that forked it, over the IPC channel.

export interface ReadyMessage {
  readonly type: 'ready';
  readonly name: string;
  /** Where peers reach the node, `host:port`. */
  readonly address: string;
  readonly httpUrl?: string;
}

export interface FailedMessage {
  readonly type: 'failed';
  readonly error: { readonly code: string; readonly message: string };
}

export type NodeMessage = ReadyMessage | FailedMessage;
