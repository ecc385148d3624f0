// `flotilla load` shows the load of every node once; `flotilla top` again each second until `q` or
// Ctrl-C. What the table looks like is in `load-table.ts`.
import { messageOf } from '../core/index.ts';
import { EXIT } from './report-error.ts';
import { listenForInterrupts } from './context.ts';
import { TOP } from './defaults.ts';
import { FleetClient } from './fleet-client.ts';
import { loadSummary, loadTable } from './load-table.ts';
import { Screen } from './screen.ts';
import type { CliContext } from './context.ts';
import type { ClientFlags } from './commands-client.ts';
import type { Clock } from '../core/index.ts';
import type { LoadReport } from '../gateway/index.ts';
import type { Keyboard } from './screen.ts';
import type { LoadTableOptions } from './load-table.ts';
import type { Terminal } from './terminal.ts';

export interface TopFlags {
  readonly url: string;
  readonly once?: boolean;
}

export async function runLoad({ out }: CliContext, flags: ClientFlags): Promise<void> {
  const report = await askLoad(flags.url);
  if (flags.json) out.line(JSON.stringify(report));
  else print(out, report);
}

/** @param keyboard of a person; without one, as in a pipe, there is one plain snapshot. */
export async function runTop(
  { out, clock }: CliContext,
  { url, once }: TopFlags,
  keyboard: (Keyboard & { readonly isTTY?: boolean }) | undefined = process.stdin,
): Promise<void> {
  const first = await askLoad(url);
  if (once || !out.interactive || keyboard.isTTY !== true) {
    print(out, first);
    return;
  }
  using interrupts = listenForInterrupts(() => process.exit(EXIT.interrupted));
  const top = new Top({ terminal: out, clock, keyboard }, url);
  await top.run(first, interrupts.signal);
}

function askLoad(url: string): Promise<LoadReport> {
  return new FleetClient(url).get<LoadReport>('/load');
}

function print(out: Terminal, report: LoadReport): void {
  const style: LoadTableOptions['style'] = (name, text) => out.style(name, text);
  const width: { columns?: number } = out.interactive ? { columns: out.columns - 1 } : {};
  for (const line of loadTable(report, { style, ...width })) out.line(line);
  out.line();
  out.line(loadSummary(report, width.columns));
}

interface TopComponents {
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly keyboard: Keyboard;
}

/** Asks each second and draws each answer. While none comes, the last one is shown with its age. */
class Top {
  readonly #components: TopComponents;
  readonly #url: string;
  #report: LoadReport | undefined;
  #previous: LoadReport | undefined;
  #answeredAtMs = 0;
  #asking = false;
  #problem = '';

  constructor(components: TopComponents, url: string) {
    this.#components = components;
    this.#url = url;
  }

  async run(first: LoadReport, interrupted: AbortSignal): Promise<void> {
    const { terminal, clock, keyboard } = this.#components;
    const ended = Promise.withResolvers<void>();
    interrupted.addEventListener('abort', () => ended.resolve(), { once: true });
    using screen = new Screen({ terminal, keyboard }, (key) => {
      if (QUIT_KEYS.includes(key)) ended.resolve();
    });
    const draw = () => screen.draw(this.#picture());
    this.#answer(first);
    draw();
    using _resizes = terminal.onResize(draw);
    const timer = clock.repeat(TOP.refreshMs, () => {
      if (this.#asking) draw();
      else void this.#ask().then(draw);
    });
    await ended.promise;
    timer.cancel();
  }

  async #ask(): Promise<void> {
    this.#asking = true;
    try {
      this.#answer(await askLoad(this.#url));
    } catch (error) {
      this.#problem = messageOf(error);
    }
    this.#asking = false;
  }

  #answer(report: LoadReport): void {
    this.#previous = this.#report;
    this.#report = report;
    this.#answeredAtMs = this.#components.clock.now();
    this.#problem = '';
  }

  #picture(): string[] {
    const report = this.#report;
    if (report === undefined) return [];
    const { terminal } = this.#components;
    const columns = terminal.columns - 1;
    const style: LoadTableOptions['style'] = (name, text) => terminal.style(name, text);
    const table = loadTable(report, {
      columns,
      rows: terminal.rows - FRAME_ROWS,
      style,
      ...(this.#previous !== undefined && { previous: this.#previous }),
    });
    const time = new Date(report.at).toLocaleTimeString('en-GB');
    const start = `${time}  ${report.self}  `;
    const heading = (start + loadSummary(report, columns - start.length)).slice(0, columns);
    const foot = this.#foot().slice(0, columns);
    const how = this.#silentMs() > TOP.oldAfterMs || this.#problem !== '' ? 'bad' : 'dim';
    return [style('bold', heading), '', ...table, '', style(how, foot)];
  }

  #foot(): string {
    const seconds = Math.round(this.#silentMs() / 1000);
    if (this.#problem !== '') return `${seconds} s old: ${this.#problem}`;
    if (this.#silentMs() > TOP.oldAfterMs) return `no answer from ${this.#url} for ${seconds} s`;
    return 'q ends';
  }

  #silentMs(): number {
    return this.#components.clock.now() - this.#answeredAtMs;
  }
}

/** `q`, and Ctrl-C, which is a key like others while keys are read one by one. */
const QUIT_KEYS = ['q', 'Q', '\u0003'];

/** Heading, foot, and an empty line beside each. */
const FRAME_ROWS = 4;
