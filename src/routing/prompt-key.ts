// What the router knows of a prompt: hashes of its beginnings, an estimate of its tokens, and a
// hash that names its conversation. Not the text. Every hash covers all that comes before it, so
// that equal hashes mean equal prefixes, and a match can be searched by bisection.
import { chainBlock } from './block-hash.ts';
import { PROMPT_DEFAULTS } from './defaults.ts';
import type { Hash64 } from '../hash/index.ts';

/**
 * The marks of a prompt. A mark is the end of a block at which its prefix is remembered: every
 * block at first, then 32 in each doubling of the length, so that the longest prompt has 256 of
 * them and a match is known to 3 % of its length.
 */
export interface PromptKey {
  /** Upper and lower half of the hash of each mark in turn. */
  readonly hashes: Uint32Array;
  /** Whole blocks, at most 4096; what is beyond has no marks. */
  readonly blocks: number;
  /** Estimated tokens of the whole prompt. */
  readonly tokens: number;
  /**
   * Tokens of the prompt of the turn before, which ended where the last answer begins.
   */
  readonly historyTokens: number;
  /** Names the conversation: everything up to the end of the first message of the user. */
  readonly root: Hash64;
}

const { blockChars, charsPerToken, maxBlocks, rootBlocks } = PROMPT_DEFAULTS;
export const TOKENS_PER_BLOCK = blockChars / charsPerToken;

/** Below this a loop is faster than a call. */
const SHORT_CHARS = 32;
const EXACT_MARKS = 64;
const MARKS_PER_DOUBLING = 32;
/** Separates a role from its text, and messages from each other. */
const END_OF_ROLE = 2;
const END_OF_MESSAGE = 3;

/** Blocks that mark `index` covers. */
export function blocksAt(index: number): number {
  if (index < EXACT_MARKS) return index + 1;
  const beyond = index - EXACT_MARKS;
  const doublings = Math.floor(beyond / MARKS_PER_DOUBLING);
  const step = 2 << doublings;
  return (EXACT_MARKS << doublings) + ((beyond % MARKS_PER_DOUBLING) + 1) * step;
}

/** Marks of the longest prompt. */
export const MAX_MARKS = marksOf(maxBlocks);

function marksOf(blocks: number): number {
  let marks = 0;
  while (blocksAt(marks) <= blocks) marks++;
  return marks;
}

/**
 * Makes keys, one after the other: `begin`, then messages or plain text, then `finish`. It is meant
 * to be kept; a key leaves it with one typed array of its own.
 */
export class PromptKeyBuilder {
  readonly #units = new Uint16Array(blockChars);
  /** The same memory, four bytes at a time: hashing reads half as often. */
  readonly #words = new Uint32Array(this.#units.buffer);
  /** And as bytes: long runs of text are copied four times as fast. */
  readonly #bytes = Buffer.from(this.#units.buffer);
  readonly #marks = new Uint32Array(2 * MAX_MARKS);
  readonly #chain: Hash64 = { hi: 0, lo: 0 };
  #root: Hash64 | undefined;
  #role = '';
  #fill = 0;
  #blocks = 0;
  #markCount = 0;
  #nextMark = 1;
  #chars = 0;
  #historyChars = 0;

  /** @param model caches of different models have nothing in common */
  begin(model: string): void {
    this.#chain.hi = 0;
    this.#chain.lo = 0;
    this.#reset();
    this.#append(model);
    this.#closeChain();
    this.#reset();
  }

  #reset(): void {
    this.#fill = 0;
    this.#root = undefined;
    this.#role = '';
    this.#blocks = 0;
    this.#markCount = 0;
    this.#nextMark = blocksAt(0);
    this.#chars = 0;
    this.#historyChars = 0;
  }

  /** Starts a message; further parts of its content go to `text`. */
  message(role: string, content: string): void {
    this.#endMessage();
    if (role === 'assistant') this.#historyChars = this.#chars;
    this.#role = role;
    this.#append(role);
    this.#unit(END_OF_ROLE);
    this.text(content);
  }

  /** Text of a prompt without messages, or the next part of a message. */
  text(content: string): void {
    this.#append(content);
  }

  finish(): PromptKey {
    this.#endMessage();
    this.#role = '';
    return {
      hashes: this.#marks.slice(0, 2 * this.#markCount),
      blocks: this.#blocks,
      tokens: Math.ceil(this.#chars / charsPerToken),
      historyTokens: Math.floor(this.#historyChars / charsPerToken),
      root: this.#root ?? this.#snapshot(),
    };
  }

  #endMessage(): void {
    if (this.#role === '') return;
    this.#unit(END_OF_MESSAGE);
    if (this.#role === 'user') this.#root ??= this.#snapshot();
  }

  #unit(unit: number): void {
    this.#units[this.#fill++] = unit;
    this.#chars++;
    if (this.#fill === blockChars) this.#endBlock();
  }

  #append(text: string): void {
    const units = this.#units;
    const { length } = text;
    this.#chars += length;
    let at = 0;
    while (at < length) {
      if (this.#blocks >= maxBlocks) return;
      const start = this.#fill;
      const count = Math.min(length - at, blockChars - start);
      if (count < SHORT_CHARS) {
        for (let i = 0; i < count; i++) units[start + i] = text.charCodeAt(at + i);
      } else {
        this.#bytes.write(text.slice(at, at + count), 2 * start, 2 * count, 'utf16le');
      }
      at += count;
      this.#fill = start + count;
      if (this.#fill === blockChars) this.#endBlock();
    }
  }

  #endBlock(): void {
    this.#fill = 0;
    if (this.#blocks >= maxBlocks) return;
    const chain = this.#chain;
    chainBlock(chain, this.#words, this.#words.length);
    this.#blocks++;
    if (this.#blocks === this.#nextMark) {
      this.#marks[2 * this.#markCount] = chain.hi;
      this.#marks[2 * this.#markCount + 1] = chain.lo;
      this.#markCount++;
      this.#nextMark = blocksAt(this.#markCount);
    }
    // A prompt without messages tells no conversations apart but by how it begins.
    if (this.#role === '' && this.#blocks === rootBlocks) this.#root ??= { ...chain };
  }

  /** The hash of all so far, the unfinished block included. */
  #snapshot(): Hash64 {
    const { hi, lo } = this.#chain;
    const fill = this.#fill;
    this.#closeChain();
    const closed = { ...this.#chain };
    this.#chain.hi = hi;
    this.#chain.lo = lo;
    this.#fill = fill;
    return closed;
  }

  /** Puts what is in the block into the chain, its length included. */
  #closeChain(): void {
    const padded = Math.ceil(this.#fill / 8) * 8;
    this.#units.fill(0, this.#fill, padded);
    this.#chain.lo = (this.#chain.lo ^ this.#fill) >>> 0;
    chainBlock(this.#chain, this.#words, padded / 2);
    this.#fill = 0;
  }
}
