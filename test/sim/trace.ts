// What happened, as a running digest and as the last lines of it. Two runs of one seed that differ
// in their digests differ in their histories.

type Part = string | number | undefined;

/** Lines that a violation shows. */
const KEPT_LINES = 60;

export class Trace {
  #high = 0x811c9dc5;
  #low = 0x1b873593;
  readonly #words = new Map<string, number>();
  readonly #kept: { at: number; parts: readonly Part[] }[] = [];
  #next = 0;
  /** Lines so far. */
  steps = 0;
  /** Hears each line; for `--verbose`. */
  onLine: ((line: string) => void) | undefined;

  add(atMs: number, ...parts: readonly Part[]): void {
    this.steps++;
    this.#mix(Math.round(atMs * 1000));
    for (const part of parts) this.#mix(typeof part === 'string' ? this.#word(part) : (part ?? -1));
    this.#kept[this.#next] = { at: atMs, parts };
    this.#next = (this.#next + 1) % KEPT_LINES;
    this.onLine?.(lineOf(atMs, parts));
  }

  /** Adds to the digest what need not be shown. */
  mix(atMs: number, number: number): void {
    this.#mix(Math.round(atMs * 1000));
    this.#mix(number);
  }

  get hash(): string {
    const hex = (half: number) => (half >>> 0).toString(16).padStart(8, '0');
    return hex(this.#high) + hex(this.#low);
  }

  /** The last lines, oldest first. */
  lines(): string[] {
    const ordered = [...this.#kept.slice(this.#next), ...this.#kept.slice(0, this.#next)];
    return ordered.map(({ at, parts }) => lineOf(at, parts));
  }

  #mix(number: number): void {
    const whole = number | 0;
    const rest = (number / 4_294_967_296) | 0;
    this.#high = Math.imul(this.#high ^ whole, 0x01000193) ^ (this.#low >>> 15);
    this.#low = Math.imul(this.#low ^ rest ^ (whole >>> 11), 0x85ebca6b) + this.#high;
  }

  #word(text: string): number {
    let hash = this.#words.get(text);
    if (hash === undefined) {
      hash = 0x811c9dc5;
      for (let i = 0; i < text.length; i++) {
        hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
      }
      if (this.#words.size < 10_000) this.#words.set(text, hash);
    }
    return hash;
  }
}

function lineOf(atMs: number, parts: readonly Part[]): string {
  const shown = parts.filter((part) => part !== undefined);
  return `${(atMs / 1000).toFixed(4).padStart(10)} s  ${shown.join(' ')}`;
}
