// What can be wrong with bytes. Raised where they are decoded; their sender pays for them.
import type { ErrorCodes } from '../core/index.ts';

export const WIRE_ERRORS = {
  frame_invalid: 'A peer sent bytes that break the protocol; its connection is closed.',
  message_too_large: 'A message is larger than the limit; nothing of it was sent.',
  body_unencodable: 'A message body holds a value that MessagePack cannot carry.',
} as const satisfies ErrorCodes;
