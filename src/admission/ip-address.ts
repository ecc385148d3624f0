// IP addresses as eight groups of 16 bits, IPv4 as mapped into IPv6 (RFC 4291, section 2.5.5.2),
// and networks of them. Pure.
import { isIP } from 'node:net';
import { invalidOption } from '../core/index.ts';

/** Eight numbers of 16 bits. */
export type IpAddress = readonly number[];

const GROUPS = 8;
const GROUP_BITS = 16;
const MAPPED = [0, 0, 0, 0, 0, 0xffff];
/** Bits that come before those of an IPv4 address. */
const MAPPED_BITS = 96;

/** Undefined for what is no address. A zone (`%eth0`) is left out: it means nothing to others. */
export function parseIp(text: string): IpAddress | undefined {
  const zone = text.indexOf('%');
  const bare = zone === -1 ? text : text.slice(0, zone);
  const version = isIP(bare);
  if (version === 4) return zone === -1 ? [...MAPPED, ...groupsOfIpv4(bare)] : undefined;
  if (version !== 6) return undefined;
  const [front = '', back] = bare.split('::');
  const head = groupsOf(front);
  if (back === undefined) return head;
  const tail = groupsOf(back);
  const zeros = new Array<number>(GROUPS - head.length - tail.length).fill(0);
  return [...head, ...zeros, ...tail];
}

export function isIpv4(address: IpAddress): boolean {
  return MAPPED.every((group, index) => address[index] === group);
}

/** IPv4 dotted; IPv6 as eight groups without abbreviation, so that each has one text. */
export function formatIp(address: IpAddress): string {
  if (!isIpv4(address)) return address.map((group) => group.toString(16)).join(':');
  return address
    .slice(MAPPED.length)
    .flatMap((group) => [group >> 8, group & 0xff])
    .join('.');
}

function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text
    .split(':')
    .flatMap((part) => (part.includes('.') ? groupsOfIpv4(part) : [Number.parseInt(part, 16)]));
}

function groupsOfIpv4(text: string): number[] {
  const [a = 0, b = 0, c = 0, d = 0] = text.split('.').map(Number);
  return [a * 256 + b, c * 256 + d];
}

interface Network {
  readonly address: IpAddress;
  readonly bits: number;
}

/** Networks in CIDR notation (`10.0.0.0/8`, `fd00::/8`), or single addresses. */
export class IpNetworks {
  readonly #networks: readonly Network[];

  /** Errors: `invalid_option` for `option`. */
  constructor(option: string, networks: readonly string[]) {
    this.#networks = networks.map((text) => parseNetwork(option, text));
  }

  get size(): number {
    return this.#networks.length;
  }

  has(address: IpAddress): boolean {
    return this.#networks.some((network) => isWithin(address, network));
  }
}

function parseNetwork(option: string, text: string): Network {
  const [, base = '', digits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = parseIp(base);
  const isShort = isIP(base) === 4;
  const own = isShort ? 32 : 128;
  const length = digits === undefined ? own : Number(digits);
  if (address !== undefined && length <= own) {
    return { address, bits: isShort ? MAPPED_BITS + length : length };
  }
  throw invalidOption(option, 'a list of networks such as 10.0.0.0/8 or fd00::/8', text);
}

function isWithin(address: IpAddress, { address: base, bits }: Network): boolean {
  for (let group = 0; group * GROUP_BITS < bits; group++) {
    const rest = Math.min(GROUP_BITS, bits - group * GROUP_BITS);
    const mask = (0xffff << (GROUP_BITS - rest)) & 0xffff;
    if ((((address[group] ?? 0) ^ (base[group] ?? 0)) & mask) !== 0) return false;
  }
  return true;
}
