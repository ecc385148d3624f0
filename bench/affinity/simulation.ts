// A seeded simulation of sessions, gateways and engines: each turn arrives at a gateway by chance,
// the gateway's router chooses among the nodes by what it knows, the engine answers in its time,
// and nodes tell all gateways of their load once a second. Router and engine are those of `src/`.
import { createPrng } from '../../src/core/index.ts';
import { Agenda } from './agenda.ts';
import { FleetGateway } from './fleet-gateway.ts';
import { engineMs, FleetNode } from './fleet-node.ts';
import { CROWD_FROM, CROWD_UNTIL, WARM_UP } from './scenarios.ts';
import type { Prng } from '../../src/core/index.ts';
import type { Sequence } from '../../src/engines/index.ts';
import type { PolicyName } from '../../src/routing/index.ts';
import type { Passage } from './fleet-gateway.ts';
import type { NodeRequest } from './fleet-node.ts';
import type { Scenario } from './scenarios.ts';
import type { Session, Turn } from './workload.ts';

export interface Outcome {
  /** Cached over all prompt tokens, as the engines report them. */
  readonly hitRate: number;
  /** Time to the first token. */
  readonly ttftP50Ms: number;
  readonly ttftP90Ms: number;
  readonly ttftP99Ms: number;
  /** Requests that were refused or gave up waiting, over all. */
  readonly errorRate: number;
  /** Requests of the busiest node over the mean. */
  readonly largestShare: number;
  /** The same while the crowd is there. */
  readonly crowdShare: number;
  /** Engine time that was used, over what there is. */
  readonly utilization: number;
  readonly requests: number;
}

export interface Run {
  readonly scenario: Scenario;
  readonly policy: PolicyName;
  readonly sessions: readonly Session[];
  readonly durationMs: number;
  readonly seed: number;
}

/** A client that has no token by then goes away, and its session ends. */
const PATIENCE_MS = 30_000;
const SAMPLE_INTERVAL_MS = 1_000;
const GOSSIP_DELAY_MS = 20;

/** Equal runs give equal outcomes. */
export function simulate(run: Run): Outcome {
  return new Simulation(run).run();
}

class Simulation {
  readonly #run: Run;
  readonly #events = new Agenda();
  readonly #nodes: FleetNode[];
  readonly #gateways: FleetGateway[];
  readonly #prng: Prng;
  readonly #figures: Figures;

  constructor(run: Run) {
    this.#run = run;
    const { nodes, gateways } = run.scenario;
    this.#prng = createPrng(run.seed, 3);
    this.#nodes = Array.from(
      { length: nodes },
      (_, index) => new FleetNode(`node-${index}`, this.#events),
    );
    const names = this.#nodes.map(({ name }) => name);
    this.#gateways = Array.from({ length: gateways }, (_, index) => {
      const prng = createPrng(run.seed, 100 + index);
      return new FleetGateway({ prng }, { policy: run.policy, nodes: names });
    });
    this.#figures = new Figures(names, run.durationMs);
  }

  run(): Outcome {
    const { sessions, durationMs, scenario } = this.#run;
    for (const session of sessions) {
      this.#events.add(session.startMs, (nowMs) => this.#ask(session, 0, nowMs));
    }
    for (const node of this.#nodes) {
      const first = this.#prng.next() * SAMPLE_INTERVAL_MS;
      this.#events.add(first, (nowMs) => this.#sample(node, nowMs));
    }
    const { straggler } = scenario;
    if (straggler !== undefined) {
      this.#events.add(straggler.from * durationMs, () => {
        this.#nodes[straggler.node]!.speed = straggler.speed;
      });
    }
    this.#events.runUntil(durationMs);
    return this.#figures.outcome();
  }

  /** Asks turn `at` of the session, and the next one when its answer is there. */
  #ask(session: Session, at: number, askedMs: number): void {
    const turn = session.turns[at];
    if (turn === undefined) return;
    const gateway = this.#gateways[this.#prng.int(this.#gateways.length)]!;
    const next = (nowMs: number) => {
      const { thinkMs = 0 } = session.turns[at + 1] ?? {};
      this.#events.add(nowMs + thinkMs, (now) => this.#ask(session, at + 1, now));
    };
    this.#send({ gateway, turn, askedMs, next }, gateway.send(turn, askedMs), askedMs);
  }

  #send(asked: Asked, passage: Passage | undefined, nowMs: number): void {
    const { gateway, turn, askedMs, next } = asked;
    if (passage === undefined) {
      this.#figures.failed(askedMs);
      return;
    }
    const node = this.#nodes.find(({ name }) => name === passage.choice.endpoint.id)!;
    const onToken = ({ cachedTokens, generated }: Sequence<NodeRequest>, tokenMs: number) => {
      if (generated === 1) {
        gateway.answered(passage, tokenMs);
        this.#figures.answered(askedMs, tokenMs - askedMs, { ...turn, cachedTokens });
      }
      if (generated < turn.outputTokens) return;
      gateway.ended(passage, 'ok', tokenMs);
      next(tokenMs);
    };
    const sequence = node.submit({ ...turn, onToken }, nowMs);
    if (sequence === undefined) {
      this.#refused(asked, passage, nowMs);
      return;
    }
    this.#figures.sent(node.name, askedMs);
    this.#events.add(askedMs + PATIENCE_MS, (lateMs) => {
      if (sequence.generated > 0) return;
      node.cancel(sequence);
      gateway.ended(passage, 'abandoned', lateMs);
      this.#figures.failed(askedMs);
    });
  }

  #refused(asked: Asked, passage: Passage, nowMs: number): void {
    const delayMs = asked.gateway.refused(passage, nowMs);
    if (delayMs === undefined) {
      this.#figures.failed(asked.askedMs);
      return;
    }
    this.#events.add(nowMs + delayMs, (laterMs) => {
      this.#send(asked, asked.gateway.retry(passage, laterMs), laterMs);
    });
  }

  #sample(node: FleetNode, nowMs: number): void {
    const record = node.sample(nowMs);
    for (const gateway of this.#gateways) {
      const delayMs = GOSSIP_DELAY_MS * (0.5 + this.#prng.next());
      this.#events.add(nowMs + delayMs, (now) => gateway.hear(record, now));
    }
    this.#events.add(nowMs + SAMPLE_INTERVAL_MS, (now) => this.#sample(node, now));
  }
}

/** A turn that is being asked. */
interface Asked {
  readonly gateway: FleetGateway;
  readonly turn: Turn;
  readonly askedMs: number;
  /** Goes on with the session. */
  readonly next: (nowMs: number) => void;
}

interface Answered {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
}

/** What is counted, of requests that were asked after the warm-up. */
class Figures {
  readonly #fromMs: number;
  readonly #durationMs: number;
  readonly #ttfts: number[] = [];
  readonly #sent: Map<string, number>;
  readonly #crowd: Map<string, number>;
  #promptTokens = 0;
  #cachedTokens = 0;
  #engineMs = 0;
  #failures = 0;

  constructor(nodes: readonly string[], durationMs: number) {
    this.#fromMs = WARM_UP * durationMs;
    this.#durationMs = durationMs;
    this.#sent = new Map(nodes.map((name) => [name, 0]));
    this.#crowd = new Map(this.#sent);
  }

  sent(node: string, nowMs: number): void {
    if (nowMs < this.#fromMs) return;
    this.#sent.set(node, this.#sent.get(node)! + 1);
    const share = nowMs / this.#durationMs;
    if (share < CROWD_FROM || share > CROWD_UNTIL) return;
    this.#crowd.set(node, this.#crowd.get(node)! + 1);
  }

  answered(askedMs: number, ttftMs: number, answer: Answered): void {
    if (askedMs < this.#fromMs) return;
    const { promptTokens, cachedTokens, outputTokens } = answer;
    this.#ttfts.push(ttftMs);
    this.#promptTokens += promptTokens;
    this.#cachedTokens += cachedTokens;
    this.#engineMs += engineMs(promptTokens - cachedTokens, outputTokens);
  }

  failed(askedMs: number): void {
    if (askedMs >= this.#fromMs) this.#failures++;
  }

  outcome(): Outcome {
    const ttfts = this.#ttfts.toSorted((a, b) => a - b);
    const at = (share: number) => ttfts[Math.floor(share * (ttfts.length - 1))] ?? 0;
    const requests = ttfts.length + this.#failures;
    const timeMs = (this.#durationMs - this.#fromMs) * this.#sent.size;
    return {
      hitRate: this.#cachedTokens / this.#promptTokens,
      ttftP50Ms: at(0.5),
      ttftP90Ms: at(0.9),
      ttftP99Ms: at(0.99),
      errorRate: this.#failures / requests,
      largestShare: largestOverMean([...this.#sent.values()]),
      crowdShare: largestOverMean([...this.#crowd.values()]),
      utilization: this.#engineMs / timeMs,
      requests,
    };
  }
}

function largestOverMean(counts: readonly number[]): number {
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return Math.max(...counts) / mean;
}
