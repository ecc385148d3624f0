// Drives an admission queue on a simulated clock and keeps account of what it tells.
import assert from 'node:assert/strict';
import { AdmissionQueue } from '../../src/admission/index.ts';
import { SimulatedClock } from '../../src/testing/index.ts';
import type { QueueOptions, QueueRequest, Ticket } from '../../src/admission/index.ts';
import type { FlotillaError } from '../../src/core/index.ts';

/** One request and what it was told. */
export class Visitor {
  readonly name: string;
  ticket: Ticket | undefined;
  turns = 0;
  refused: FlotillaError | undefined;
  onTurnThen: () => void = () => {};
  onRefusedThen: () => void = () => {};
  readonly #started: (name: string) => void;

  constructor(name: string, started: (name: string) => void) {
    this.name = name;
    this.#started = started;
  }

  get isRunning(): boolean {
    return this.ticket?.isRunning ?? false;
  }

  get isWaiting(): boolean {
    return this.ticket !== undefined && this.turns === 0 && this.refused === undefined;
  }

  onTurn(): void {
    assert.ok(this.ticket?.isRunning ?? true, 'told of a turn that is over');
    this.turns++;
    this.#started(this.name);
    this.onTurnThen();
  }

  onRefused(error: FlotillaError): void {
    assert.ok(this.turns === 0 && this.refused === undefined, 'refused after its turn, or twice');
    this.refused = error;
    this.onRefusedThen();
  }
}

export class QueueDriver {
  readonly clock = new SimulatedClock();
  readonly queue: AdmissionQueue;
  /** Names of requests in the order in which they started. */
  readonly started: string[] = [];
  readonly visitors: Visitor[] = [];

  constructor(options: QueueOptions = {}) {
    this.queue = new AdmissionQueue({ clock: this.clock }, options);
  }

  /** The request is named `name`, else by its client; what `enter` throws is in `refused`. */
  enter(request: QueueRequest & { name?: string }): Visitor {
    const visitor = new Visitor(request.name ?? request.client, (name) => this.started.push(name));
    this.visitors.push(visitor);
    try {
      visitor.ticket = this.queue.enter(request, visitor);
    } catch (error) {
      visitor.refused = error as FlotillaError;
      return visitor;
    }
    if (visitor.isRunning) this.started.push(visitor.name);
    return visitor;
  }

  /** Ends the longest-running request, `times` times. */
  finish(times = 1): void {
    for (let i = 0; i < times; i++) this.visitors.find(({ isRunning }) => isRunning)?.ticket?.end();
  }
}
