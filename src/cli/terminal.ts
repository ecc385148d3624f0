// Where the command line writes: a stream, whether a person watches it, how wide it is, and whether
// colours are welcome (https://no-color.org).
import { PROGRESS } from './defaults.ts';

/** What a terminal needs of a stream; `process.stdout` has it. */
export interface OutputStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  on?(event: 'resize', listener: () => void): unknown;
  off?(event: 'resize', listener: () => void): unknown;
}

const STYLES = { bold: '1', dim: '2', accent: '36', good: '32', bad: '31' } as const;

export type Style = keyof typeof STYLES;

export class Terminal {
  readonly interactive: boolean;
  readonly #stream: OutputStream;
  readonly #colours: boolean;

  constructor(stream: OutputStream, env: Readonly<Record<string, string | undefined>> = {}) {
    this.#stream = stream;
    this.interactive = stream.isTTY === true && env['TERM'] !== 'dumb';
    this.#colours = this.interactive && (env['NO_COLOR'] ?? '') === '';
  }

  get columns(): number {
    return this.#stream.columns || PROGRESS.columns;
  }

  get rows(): number {
    return this.#stream.rows || PROGRESS.rows;
  }

  /** Calls `listener` when the terminal has another size, until it is disposed of. */
  onResize(listener: () => void): Disposable {
    this.#stream.on?.('resize', listener);
    return { [Symbol.dispose]: () => void this.#stream.off?.('resize', listener) };
  }

  /** Without a line break: for whoever moves the cursor. */
  write(text: string): void {
    this.#stream.write(text);
  }

  line(text = ''): void {
    this.#stream.write(`${text}\n`);
  }

  /** Replaces the line that is being drawn. Only for a terminal that is interactive. */
  redraw(text: string): void {
    this.#stream.write(`\r${text}\u001b[K`);
  }

  style(style: Style, text: string): string {
    return this.#colours ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text;
  }
}
