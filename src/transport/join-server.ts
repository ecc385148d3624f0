// The admitting end of the join exchange: one request, one answer, little memory, little time.
import { hasCode } from '../core/index.ts';
import { JOIN_TIMEOUT_MS } from './defaults.ts';
import {
  encodeJoinMessage,
  JoinMessageReader,
  joinErrorMessage,
  readJoinRequest,
} from './join-messages.ts';
import type { TLSSocket } from 'node:tls';
import type { Clock, Logger } from '../core/index.ts';
import type { OnJoin } from './join-messages.ts';

export function serveJoin(
  socket: TLSSocket,
  { onJoin, clock, log }: { onJoin: OnJoin; clock: Clock; log: Logger },
): void {
  const reader = new JoinMessageReader();
  const timer = clock.schedule(JOIN_TIMEOUT_MS, () => socket.destroy());
  socket.once('close', () => timer.cancel());
  const answer = (message: object) => {
    if (!socket.destroyed) socket.end(encodeJoinMessage(message), () => socket.destroySoon());
  };
  const refuse = (error: unknown) => {
    if (!hasCode(error)) log.error({ err: error }, 'a join failed unexpectedly');
    answer(joinErrorMessage(error));
  };
  const onData = (chunk: Buffer) => {
    try {
      const message = reader.push(chunk);
      if (message === undefined) return;
      socket.off('data', onData);
      onJoin(readJoinRequest(message)).then(answer, refuse);
    } catch (error) {
      socket.off('data', onData);
      refuse(error);
    }
  };
  socket.on('data', onData);
}
