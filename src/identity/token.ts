// The text of a join token. Which tokens exist and what they are worth belongs to the token book.
import { FlotillaError } from '../core/index.ts';

/** `caDigest`: 64 hex digits that pin the CA. `id` is public. `secret` never reaches a log. */
export interface Token {
  readonly caDigest: string;
  readonly id: string;
  readonly secret: string;
}

const TOKEN = /^flt1\.([0-9a-f]{64})\.([0-9a-f]{16})\.([A-Za-z0-9_-]{22})$/;
const TOKEN_ID = /^[0-9a-f]{16}$/;

/** True for what can be a token's id; anything else must not become a part of a path. */
export function isTokenId(id: unknown): id is string {
  return typeof id === 'string' && TOKEN_ID.test(id);
}

export function formatToken(token: Token): string {
  return `flt1.${token.caDigest}.${token.id}.${token.secret}`;
}

/** Reads a token; white space around it is ignored. Errors: `token_malformed`, without the text. */
export function parseToken(text: string): Token {
  const [, caDigest, id, secret] = TOKEN.exec(text.trim()) ?? [];
  if (caDigest === undefined || id === undefined || secret === undefined) {
    throw new FlotillaError(
      'token_malformed',
      'the join token is malformed: it must be "flt1." followed by three parts, as `flotilla ' +
        'token` prints it',
    );
  }
  return { caDigest, id, secret };
}
