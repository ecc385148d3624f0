// Why a connection ends, as the last frame tells it: `[code length u8][code][message]`, both UTF-8.
import { FlotillaError } from '../core/index.ts';
import { MAX_PREAMBLE_BYTES } from './defaults.ts';

const CODE = /^[a-z][a-z0-9_]{0,63}$/;

export function encodeReason(reason: FlotillaError): Uint8Array {
  const code = Buffer.from(reason.code);
  const message = Buffer.from(reason.message).subarray(0, MAX_PREAMBLE_BYTES);
  return Buffer.concat([Buffer.from([code.length]), code, message]);
}

/** The other end's reason: shown, not believed. An odd code becomes `link_closed`. */
export function decodeReason(payload: Uint8Array): FlotillaError {
  const codeLength = payload[0] ?? 0;
  const text = Buffer.from(payload);
  const code = text.toString('latin1', 1, 1 + codeLength);
  const message = text.toString('utf8', 1 + codeLength, 1 + codeLength + MAX_PREAMBLE_BYTES);
  return new FlotillaError(
    CODE.test(code) ? code : 'link_closed',
    message || 'no reason was given',
  );
}
