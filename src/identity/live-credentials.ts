// A node's credentials while it runs: they are renewed under the connections that use them. Who
// holds them reads them anew for each connection, or listens for the change; asking for a new
// certificate belongs to the node.
import { assert } from '../core/index.ts';
import type { Credentials } from './credentials.ts';

/** Credentials that change. The name and the CA stay. */
export class LiveCredentials implements Credentials {
  #current: Credentials;
  readonly #listeners = new Set<() => void>();

  constructor(first: Credentials) {
    this.#current = first;
  }

  get name(): string {
    return this.#current.name;
  }

  get certificatePem(): string {
    return this.#current.certificatePem;
  }

  get privateKeyPem(): string {
    return this.#current.privateKeyPem;
  }

  get caPem(): string {
    return this.#current.caPem;
  }

  /** New connections use `next` from now on. */
  replace(next: Credentials): void {
    assert(next.name === this.name && next.caPem === this.caPem, 'the name and the CA stay');
    this.#current = next;
    for (const listener of this.#listeners) listener();
  }

  /** Calls `listener` after each change, until the function returned is called. */
  onReplaced(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
