// Which bytes may stand where in a message (RFC 9110 5.5, 5.6.2; RFC 9112 3.2). Tables, because
// they are looked up once a byte.

function tableOf(allows: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (allows(byte) ? 1 : 0));
}

const isAlphanumeric = (byte: number) => /[0-9A-Za-z]/.test(String.fromCharCode(byte));

/** tchar: methods and field names. */
export const TOKEN = tableOf(
  (byte) => isAlphanumeric(byte) || "!#$%&'*+-.^_`|~".includes(String.fromCharCode(byte)),
);

/** Field values: visible, blank, and obs-text. */
export const VALUE = tableOf((byte) => byte === 0x09 || (byte >= 0x20 && byte !== 0x7f));

/** Request targets: visible ASCII but the fragment mark, which no client may send. */
export const TARGET = tableOf((byte) => byte > 0x20 && byte < 0x7f && byte !== 0x23);

/** Host: name, IPv4, bracketed IPv6, port. */
export const HOST = tableOf(
  (byte) => isAlphanumeric(byte) || "-._~!$&'()*+,;=%[]:".includes(String.fromCharCode(byte)),
);

export const CR = 0x0d;
export const LF = 0x0a;
export const SP = 0x20;
export const TAB = 0x09;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;
export const SLASH = 0x2f;
export const ASTERISK = 0x2a;

/** The value of a hexadecimal digit, or -1. */
export function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
