// How a simulated engine reads and writes: every four characters are a token, a conversation is one
// text, and an answer follows from its prompt. So the next turn of a conversation begins with
// exactly what was computed for the last one, as with a real chat template.
import { createPrng } from '../../core/index.ts';
import { xxh64 } from '../../hash/index.ts';

const TOKEN_CHARACTERS = 4;
/** What a JavaScript number keeps of a hash. */
const KEY_MASK = 2n ** 53n - 1n;
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

export function tokenCount(text: string): number {
  return Math.ceil(text.length / TOKEN_CHARACTERS);
}

/** A number for each token; equal tokens have equal numbers. */
export function tokenIds(text: string): number[] {
  const ids: number[] = [];
  for (let at = 0; at < text.length; at += TOKEN_CHARACTERS) {
    ids.push(Number(xxh64(text.slice(at, at + TOKEN_CHARACTERS)) & 0xffffn));
  }
  return ids;
}

/** The conversation as the model sees it, up to where the answer begins. */
export function chatPrompt(messages: readonly ChatMessage[]): string {
  const turns = messages.map(({ role, content }) => `<${role}>\n${content}\n`);
  return `${turns.join('')}<assistant>\n`;
}

/** The keys of the full blocks of `text`: each hashes its block and the key before it. */
export function blockKeys(text: string, blockTokens: number): number[] {
  const characters = blockTokens * TOKEN_CHARACTERS;
  const keys: number[] = [];
  let key = 0;
  for (let end = characters; end <= text.length; end += characters) {
    key = Number(xxh64(`${key} ${text.slice(end - characters, end)}`) & KEY_MASK);
    keys.push(key);
  }
  return keys;
}

/** The answer to `prompt`: words of three letters, one a token; the same for the same prompt. */
export function answerTo(prompt: string, tokens: number): string[] {
  const prng = createPrng(Number(xxh64(prompt) & 0xffffffffn));
  const letter = () => LETTERS[prng.int(LETTERS.length)];
  return Array.from({ length: tokens }, () => `${letter()}${letter()}${letter()} `);
}
