// What an engine says that a request took, read from the last bytes of its answer: the usage stands
// at the end of a JSON body, and in the last event of a stream. Nothing is parsed on the way.
import { INFERENCE_DEFAULTS } from '../defaults.ts';

export interface Usage {
  readonly promptTokens: number | undefined;
  readonly cachedTokens: number | undefined;
  readonly totalTokens: number | undefined;
}

const { usageTailBytes } = INFERENCE_DEFAULTS;

/** What all counts have in common: most of what has no usage is not looked at further. */
const MARK = Buffer.from('_tokens"', 'latin1');
const COUNT = /"(prompt|input|cached|total)_tokens"\s*:\s*(\d{1,12})/g;

/** The last bytes of an answer. */
export class UsageTail {
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes - this.#chunks[0]!.length >= usageTailBytes) {
      this.#bytes -= this.#chunks.shift()!.length;
    }
  }

  /** Undefined where it does not say. */
  read(): Usage | undefined {
    const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    const from = Math.max(0, all.length - usageTailBytes);
    if (all.lastIndexOf(MARK) < from) return undefined;
    const text = all.toString('latin1', from);
    let promptTokens: number | undefined;
    let cachedTokens: number | undefined;
    let totalTokens: number | undefined;
    COUNT.lastIndex = 0;
    for (let found = COUNT.exec(text); found !== null; found = COUNT.exec(text)) {
      const count = Number(found[2]);
      if (found[1] === 'total') totalTokens = count;
      else if (found[1] === 'cached') cachedTokens = count;
      else promptTokens = count;
    }
    return { promptTokens, cachedTokens, totalTokens };
  }
}
