// Cross-origin requests: which pages of other sites may ask, and what their browsers are told.
import { invalidOption } from '../../core/index.ts';
import { CORS_DEFAULTS } from '../defaults.ts';

const NO_FIELDS: readonly string[] = [];

export class Cors {
  readonly #origins: ReadonlySet<string>;
  readonly #any: boolean;

  /**
   * @param origins `https://chat.example.org`, or `*` for every page. Empty: none.
   * Errors: `invalid_option`.
   */
  constructor(origins: readonly string[] = []) {
    for (const origin of origins) {
      if (origin === '*' || (URL.canParse(origin) && new URL(origin).origin === origin)) continue;
      throw invalidOption('corsOrigins', '"*" or origins such as https://example.org', origin);
    }
    this.#origins = new Set(origins);
    this.#any = this.#origins.has('*');
  }

  /** Names and values in turns, for an answer to a page of `origin`. */
  fieldsFor(origin: string | undefined): readonly string[] {
    if (origin === undefined || !this.#allows(origin)) return NO_FIELDS;
    return [
      ...['access-control-allow-origin', this.#any ? '*' : origin],
      ...['access-control-expose-headers', CORS_DEFAULTS.exposed],
      ...(this.#any ? [] : ['vary', 'origin']),
    ];
  }

  /** What a browser asks first. */
  preflightFor(origin: string | undefined, asked: string | undefined): readonly string[] {
    const fields = this.fieldsFor(origin);
    if (fields.length === 0) return fields;
    return [
      ...fields,
      ...['access-control-allow-methods', 'POST, GET, OPTIONS'],
      ...['access-control-allow-headers', asked ?? CORS_DEFAULTS.allowed],
      ...['access-control-max-age', String(CORS_DEFAULTS.maxAgeS)],
    ];
  }

  #allows(origin: string): boolean {
    return this.#any || this.#origins.has(origin);
  }
}
