// Who asks what only operators may ask, and how a page of another site is kept from asking in their
// name: a browser on an operator's machine sends what any page tells it to.
import { isIP } from 'node:net';
import { IpNetworks, parseIp } from '../admission/index.ts';
import { FlotillaError } from '../core/index.ts';
import type { FastifyRequest } from 'fastify';

/** Headers of proxies: who asks through one is somebody else, and may be anybody. */
const FORWARDING_HEADERS = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'];

/** Programs that run where operators work. */
export class Operators {
  readonly #networks: IpNetworks;

  /** Errors: `invalid_option`. */
  constructor(networks: readonly string[]) {
    this.#networks = new IpNetworks('operators', networks);
  }

  /** Errors: `operator_required`. */
  check({ headers, ip }: Pick<FastifyRequest, 'headers' | 'ip'>): void {
    const address = parseIp(ip);
    if (address === undefined || !this.#networks.has(address)) {
      throw refused('from the machine of the node, or from a network of its option "operators"');
    }
    const via = FORWARDING_HEADERS.find((name) => headers[name] !== undefined);
    if (via !== undefined) throw refused(`straight, not through a proxy (it sent "${via}")`);
    if (headers.origin !== undefined) throw refused('with a program, not from a page of a browser');
    // A page whose name was pointed at this machine sends that name (DNS rebinding).
    if (!namesMachine(headers.host)) {
      throw refused(`under an IP address or "localhost", not as ${headers.host ?? 'nobody'}`);
    }
  }
}

/**
 * The body, if the request says that it is JSON: a page of another site, which a browser would let
 * send anything else without asking, must not stop nodes or make keys.
 */
export function jsonOf({ headers, body }: Pick<FastifyRequest, 'headers' | 'body'>): unknown {
  const [type = ''] = (headers['content-type'] ?? '').split(';');
  if (type.trim() === 'application/json') return body;
  const message = 'the body must be sent as content-type: application/json';
  throw new FlotillaError('content_type_unsupported', message);
}

function namesMachine(host = ''): boolean {
  const [, bracketed, plain = ''] = /^(?:\[([^\]]+)\]|([^:]+))(?::\d+)?$/.exec(host) ?? [];
  return isIP(bracketed ?? plain) !== 0 || plain.toLowerCase() === 'localhost';
}

function refused(how: string): FlotillaError {
  return new FlotillaError('operator_required', `this is for operators: ask ${how}`);
}
