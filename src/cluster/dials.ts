// Messages to members without a connection: a bounded number of dials at once, and a few messages
// that wait for each. What finds no room is lost, as a packet would be.
import { CLUSTER_DEFAULTS } from './defaults.ts';
import type { Logger } from '../core/index.ts';
import type { ClusterHost } from './cluster-host.ts';

export interface DialsComponents {
  readonly host: ClusterHost;
  readonly log: Logger;
}

export class Dials {
  readonly #components: DialsComponents;
  readonly #kind: string;
  /** What waits, by the name that is being dialled. */
  readonly #waiting = new Map<string, unknown[]>();

  constructor(components: DialsComponents, kind: string) {
    this.#components = components;
    this.#kind = kind;
  }

  /** Sends over the connection there is, or over one that is dialled for it. */
  send(to: string, address: string, body: unknown): void {
    const { host, log } = this.#components;
    if (host.sendControl(to, this.#kind, body)) return;
    const { maxDials, maxWaitingMessages } = CLUSTER_DEFAULTS;
    const waiting = this.#waiting.get(to);
    if (waiting !== undefined) {
      if (waiting.length >= maxWaitingMessages) waiting.shift();
      waiting.push(body);
      return;
    }
    if (address === '' || this.#waiting.size >= maxDials) return;
    const bodies = [body];
    this.#waiting.set(to, bodies);
    host.connect(address).then(
      () => {
        this.#waiting.delete(to);
        for (const waited of bodies) host.sendControl(to, this.#kind, waited);
      },
      (error: unknown) => {
        this.#waiting.delete(to);
        log.debug({ peer: to, err: error }, 'a member could not be dialled');
      },
    );
  }
}
