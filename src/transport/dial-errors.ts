// How a dial can fail, in words.
import { FlotillaError, messageOf } from '../core/index.ts';

/** `peer_unreachable` with the address and what happened there. */
export function unreachable(address: string, reason: string, cause?: unknown): FlotillaError {
  return new FlotillaError('peer_unreachable', `${address} cannot be reached: ${reason}`, {
    details: { address, reason },
    cause,
  });
}

/** The system's error of a dial as a reason. */
export function dialReason(error: unknown): string {
  switch ((error as NodeJS.ErrnoException | undefined)?.code) {
    case 'ECONNREFUSED':
      return 'the connection was refused';
    case 'ECONNRESET':
      return 'it broke off the handshake';
    case 'ENOTFOUND':
      return 'its host name is unknown';
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'there is no route to it';
    case 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL':
      return 'it does not speak this protocol';
    default:
      return messageOf(error);
  }
}
