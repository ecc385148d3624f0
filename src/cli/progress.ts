// Shows a training's events: one bar that is redrawn where a person watches, a line per epoch where
// nobody does, and the result lines in both.
import { PROGRESS } from './defaults.ts';
import {
  formatClock,
  formatCount,
  formatMetrics,
  formatRate,
  formatSeconds,
  plural,
} from './text.ts';
import type { Clock } from '../core/index.ts';
import type { EpochEvent, ProgressEvent, ResultEvent, TrainEvent } from '../training/index.ts';
import type { Terminal } from './terminal.ts';

/** Give it events in order; call `end` once, also after a failure. */
export class TrainingView {
  readonly #terminal: Terminal;
  readonly #clock: Clock;
  #drawnAt = Number.NEGATIVE_INFINITY;
  #drawn = false;
  /** A line per epoch waits for the validation that may follow it. */
  #epoch: EpochEvent | undefined;
  #validMrr: number | undefined;
  #testing = false;

  constructor(components: { terminal: Terminal; clock: Clock }) {
    this.#terminal = components.terminal;
    this.#clock = components.clock;
  }

  show(event: TrainEvent): void {
    switch (event.type) {
      case 'start':
        this.#print(describeStart(event));
        break;
      case 'progress':
        this.#flushEpoch();
        this.#draw(() => this.#epochBar(event));
        break;
      case 'epoch':
        this.#flushEpoch();
        if (!this.#terminal.interactive) this.#epoch = event;
        break;
      case 'validation':
        this.#validMrr = event.metrics.mrr;
        this.#flushEpoch();
        break;
      case 'evaluating':
        this.#evaluating(event.split, event.fraction);
        break;
      case 'worker-lost':
        this.#print(`${event.node} trains no more: ${event.message}`);
        break;
      case 'result':
        this.#flushEpoch();
        for (const line of describeResult(event)) this.#print(line);
        break;
    }
  }

  /** Leaves the cursor on an empty line. */
  end(): void {
    this.#flushEpoch();
    this.#erase();
  }

  #evaluating(split: 'valid' | 'test', fraction: number): void {
    if (split === 'test' && !this.#testing) {
      this.#testing = true;
      this.#flushEpoch();
      if (!this.#terminal.interactive) this.#print('evaluating on the test triples');
    }
    const label = split === 'test' ? 'testing' : 'validating';
    this.#draw(() => this.#bar(label, fraction, []));
  }

  #epochBar(event: ProgressEvent): string {
    const { epoch, epochs, fraction, loss, triplesPerSecond, etaSeconds } = event;
    const width = String(epochs).length;
    const label = `epoch ${String(epoch).padStart(width)}/${epochs}`;
    return this.#bar(label, fraction, [
      `loss ${loss.toFixed(3)}`,
      `${formatRate(triplesPerSecond)} triples/s`,
      `${formatClock(etaSeconds)} left`,
      ...(this.#validMrr === undefined ? [] : [`valid MRR ${this.#validMrr.toFixed(3)}`]),
    ]);
  }

  /** Drops what does not fit, the last part first, so that a line never wraps. */
  #bar(label: string, fraction: number, parts: readonly string[]): string {
    const terminal = this.#terminal;
    const share = Math.min(1, Math.max(0, fraction));
    const percent = `${String(Math.floor(share * 100)).padStart(3)} %`;
    const room = terminal.columns - 1;
    const kept = [...parts];
    const text = () => [percent, ...kept].join('  ');
    const minimum = 10;
    while (kept.length > 0 && label.length + 4 + minimum + text().length > room) kept.pop();
    const free = room - label.length - 4 - text().length;
    const columns = Math.min(PROGRESS.maxBarColumns, free);
    if (columns < 1) return `${label} ${percent}`.slice(0, room);
    const done = Math.round(share * columns);
    const filled = terminal.style('accent', '━'.repeat(done));
    const rest = terminal.style('dim', '─'.repeat(columns - done));
    return `${terminal.style('bold', label)}  ${filled}${rest}  ${text()}`;
  }

  #draw(render: () => string): void {
    if (!this.#terminal.interactive) return;
    const now = this.#clock.now();
    if (now - this.#drawnAt < PROGRESS.redrawMs) return;
    this.#drawnAt = now;
    this.#drawn = true;
    this.#terminal.redraw(render());
  }

  #flushEpoch(): void {
    const event = this.#epoch;
    if (event === undefined) return;
    this.#epoch = undefined;
    const { epoch, epochs, loss, seconds, triplesPerSecond } = event;
    const valid = this.#validMrr === undefined ? '' : `  valid MRR ${this.#validMrr.toFixed(3)}`;
    this.#print(
      `epoch ${epoch}/${epochs}  loss ${loss.toFixed(4)}  ` +
        `${formatCount(triplesPerSecond)} triples/s  ${formatSeconds(seconds)}${valid}`,
    );
    this.#validMrr = undefined;
  }

  #print(text: string): void {
    this.#erase();
    this.#terminal.line(text);
  }

  #erase(): void {
    if (!this.#drawn) return;
    this.#drawn = false;
    this.#terminal.redraw('');
  }
}

type StartEvent = Extract<TrainEvent, { type: 'start' }>;

function describeStart({ model, train, valid, test, workers }: StartEvent): string {
  return (
    `training ${model} on ${plural(workers.length, 'node')}: ${formatCount(train)} triples, ` +
    `${formatCount(valid)} to validate, ${formatCount(test)} to test`
  );
}

/** The figures of a finished training, the baseline's below them. */
export function describeResult(event: ResultEvent): string[] {
  const { metrics, baseline, epochs, seconds, triplesPerSecond, stoppedEarly } = event;
  const early = stoppedEarly ? ', stopped early' : '';
  return [
    ...describeFigures(metrics, baseline),
    `${plural(epochs, 'epoch')}${early}, ${formatSeconds(seconds)} in all, ` +
      `${formatCount(triplesPerSecond)} triples/s`,
  ];
}

/** `test MRR … Hits@1 …` and the baseline's figures below, column under column. */
export function describeFigures(
  metrics: Parameters<typeof formatMetrics>[0],
  baseline: Parameters<typeof formatMetrics>[0] | undefined,
): string[] {
  const lines = [`test ${formatMetrics(metrics)}`];
  if (baseline)
    lines.push(`base ${formatMetrics(baseline)}  (what the symmetry rule alone scores)`);
  return lines;
}
