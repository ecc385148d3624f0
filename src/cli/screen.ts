// A terminal taken over for a while: what was on it comes back when the screen is left, however the
// process ends. Keys are read one by one, so that none is echoed into the picture.
import type { Terminal } from './terminal.ts';

/** What a screen needs of a terminal's input; `process.stdin` has it. */
export interface Keyboard {
  setRawMode?(raw: boolean): unknown;
  on(event: 'data', listener: (chunk: Buffer) => void): unknown;
  off(event: 'data', listener: (chunk: Buffer) => void): unknown;
  pause(): unknown;
}

const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
/** A terminal that knows these shows the picture when it is complete; others ignore them. */
const BEGIN_PICTURE = '\u001b[?2026h';
const END_PICTURE = '\u001b[?2026l';
const HOME = '\u001b[H';
const ERASE_LINE_REST = '\u001b[K';
const ERASE_BELOW = '\u001b[J';

export class Screen implements Disposable {
  readonly #terminal: Terminal;
  readonly #keyboard: Keyboard;
  readonly #onKeys: (chunk: Buffer) => void;
  readonly #atExit = () => this[Symbol.dispose]();
  #left = false;

  constructor(
    components: { readonly terminal: Terminal; readonly keyboard: Keyboard },
    onKey: (key: string) => void,
  ) {
    this.#terminal = components.terminal;
    this.#keyboard = components.keyboard;
    this.#onKeys = (chunk) => {
      for (const key of chunk.toString('latin1')) onKey(key);
    };
    this.#keyboard.setRawMode?.(true);
    this.#keyboard.on('data', this.#onKeys);
    this.#terminal.write(ENTER);
    process.once('exit', this.#atExit);
  }

  /** Replaces the picture by `lines`, in one write; each must be narrower than the terminal. */
  draw(lines: readonly string[]): void {
    if (this.#left) return;
    const shown = lines.slice(0, this.#terminal.rows);
    const picture = shown.map((line) => line + ERASE_LINE_REST).join('\r\n');
    this.#terminal.write(BEGIN_PICTURE + HOME + picture + ERASE_BELOW + END_PICTURE);
  }

  [Symbol.dispose](): void {
    if (this.#left) return;
    this.#left = true;
    process.off('exit', this.#atExit);
    this.#keyboard.off('data', this.#onKeys);
    this.#keyboard.setRawMode?.(false);
    this.#keyboard.pause();
    this.#terminal.write(LEAVE);
  }
}
