// Where a request comes from. What `x-forwarded-for` says counts only as far as configured proxies
// wrote it: anybody can send that header, and with it be anybody.
import { IpNetworks, isIpv4, formatIp, parseIp } from './ip-address.ts';
import type { IpAddress } from './ip-address.ts';

export interface ClientAddressOptions {
  /** The proxies in front, as addresses or networks (CIDR). @default none */
  readonly trustedProxies?: readonly string[];
}

/** Groups of an IPv6 address that name a site: one subscriber has all addresses below (a /64). */
const SITE_GROUPS = 4;

export class ClientAddress {
  readonly #proxies: IpNetworks;

  /** Errors: `invalid_option`. */
  constructor({ trustedProxies = [] }: ClientAddressOptions = {}) {
    this.#proxies = new IpNetworks('trustedProxies', trustedProxies);
  }

  /**
   * The address of the client: that of the connection, or, where a trusted proxy is at its other
   * end, the last one in `x-forwarded-for` that is not a trusted proxy's. Several headers of the
   * name are joined by commas, in order (RFC 9110, section 5.3). An entry that is no address ends
   * the search: the proxy that passed it on is the client then.
   */
  of(remoteAddress: string, forwardedFor?: string): string {
    const isDirect = this.#proxies.size === 0 || forwardedFor === undefined;
    if (isDirect && !remoteAddress.includes(':')) return remoteAddress;
    let address = parseIp(remoteAddress);
    if (address === undefined) return remoteAddress;
    if (isDirect) return formatIp(address);
    let end = forwardedFor.length;
    while (end >= 0 && this.#proxies.has(address)) {
      const start = end === 0 ? -1 : forwardedFor.lastIndexOf(',', end - 1);
      const previous = parseHop(forwardedFor.slice(start + 1, end));
      if (previous === undefined) break;
      address = previous;
      end = start;
    }
    return formatIp(address);
  }
}

/** For whom an address counts where clients without a key are limited: IPv6 by its /64. */
export function clientOfAddress(address: string): string {
  if (!address.includes(':')) return address;
  const parsed = parseIp(address);
  if (parsed === undefined || isIpv4(parsed)) return address;
  const site = parsed.slice(0, SITE_GROUPS).map((group) => group.toString(16));
  return `${site.join(':')}::/64`;
}

/** Some proxies add the port, and brackets then. */
function parseHop(text: string): IpAddress | undefined {
  const hop = text.trim();
  const [, bracketed] = /^\[([^\]]*)\](?::\d+)?$/.exec(hop) ?? [];
  const [, plain] = /^([\d.]+):\d+$/.exec(hop) ?? [];
  return parseIp(bracketed ?? plain ?? hop);
}
