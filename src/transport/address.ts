// Addresses as people write them: `host:port`, IPv6 hosts in brackets.
import { invalidOption } from '../core/index.ts';
import type { Address } from './link.ts';

const PATTERN = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/;
const MAX_PORT = 65_535;

export function parseAddress(text: string): Address {
  const match = PATTERN.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port < 1 || port > MAX_PORT) {
    throw invalidOption('address', '"host:port" with a port from 1 to 65535', text);
  }
  return { host, port };
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
