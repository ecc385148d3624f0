// The ids of requests: the client's own where it is safe to repeat, else one of this node and its
// start.
import { GATEWAY_DEFAULTS } from './defaults.ts';

export class RequestIds {
  readonly #prefix: string;
  #count = 0;

  /** @param startedMs wall time, so that ids of an earlier run are others */
  constructor(node: string, startedMs: number) {
    this.#prefix = `${node}-${Math.floor(startedMs).toString(36)}`;
  }

  of(given: string | string[] | undefined): string {
    const { maxRequestIdCharacters } = GATEWAY_DEFAULTS;
    if (typeof given === 'string' && given.length <= maxRequestIdCharacters) {
      if (/^[\w.:/+=-]+$/.test(given)) return given;
    }
    this.#count += 1;
    return `${this.#prefix}-${this.#count}`;
  }
}
