// What the fleet is asked: seeded sessions whose turns are known in advance, prompts and answers
// included, so that every policy meets the same text. A turn's prompt is the whole conversation so
// far, as OpenAI's clients send it; nothing else names the session.
import { createPrng } from '../../src/core/index.ts';
import { PromptKeyBuilder } from '../../src/routing/index.ts';
import { MODEL } from './fleet-gateway.ts';
import { blockKeysOf, CHARACTERS_PER_TOKEN, TextPool } from './text.ts';
import type { Prng } from '../../src/core/index.ts';
import type { PromptKey } from '../../src/routing/index.ts';
import type { Workload } from '../harness.ts';

/** What a contestant is told. */
export interface AffinityWorkload extends Workload {
  /** Simulated time of each run. */
  readonly durationMs: number;
  /** Runs of each scenario, with seeds from 1. */
  readonly seeds: number;
}

export interface Turn {
  readonly key: PromptKey;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Keys of the conversation's blocks, at least up to the end of this turn's answer. */
  readonly blockKeys: readonly number[];
  /** How long after the answer before it this turn is asked. */
  readonly thinkMs: number;
}

export interface Session {
  readonly startMs: number;
  readonly turns: readonly Turn[];
}

/** Sessions per second, by kind. */
export interface Rates {
  readonly chats?: number;
  /** Groups of agents that work on one thing. */
  readonly agents?: number;
  /** Those who ask about the one document that everybody asks about for a while. */
  readonly crowd?: number;
}

export interface Shape {
  readonly rates: Rates;
  readonly durationMs: number;
  /** When the crowd is there, as shares of the duration. */
  readonly crowdFrom: number;
  readonly crowdUntil: number;
}

/** A turn before its texts are put together. */
interface Draft {
  readonly question: string;
  readonly answerTokens: number;
  readonly thinkMs: number;
}

const CHAT_APPS = 100;
const AGENT_KINDS = 12;
const AGENT_MAX_TOKENS = 24_000;
const CROWD_TOKENS = 6_000;

/** All sessions of a run, by the time of their start. Equal seeds give equal sessions. */
export function sessionsOf(shape: Shape, seed: number): Session[] {
  return new Author(seed).write(shape);
}

class Author {
  readonly #prng: Prng;
  readonly #pool: TextPool;
  readonly #keys = new PromptKeyBuilder();
  readonly #apps: readonly string[];
  readonly #agents: readonly string[];
  readonly #document: string;
  readonly #sessions: Session[] = [];

  constructor(seed: number) {
    this.#prng = createPrng(seed, 1);
    this.#pool = new TextPool(createPrng(seed, 2));
    this.#apps = Array.from({ length: CHAT_APPS }, () => this.#text(this.#between(300, 1_500)));
    this.#agents = Array.from({ length: AGENT_KINDS }, () =>
      this.#text(this.#between(2_000, 4_000)),
    );
    this.#document = this.#text(CROWD_TOKENS);
  }

  write({ rates, durationMs, crowdFrom, crowdUntil }: Shape): Session[] {
    const { chats = 0, agents = 0, crowd = 0 } = rates;
    this.#arrivals(chats, [0, durationMs], (atMs) => this.#chat(atMs));
    this.#arrivals(agents, [0, durationMs], (atMs) => this.#agentGroup(atMs));
    const crowdTimes = [crowdFrom * durationMs, crowdUntil * durationMs] as const;
    this.#arrivals(crowd, crowdTimes, (atMs) => this.#visitor(atMs));
    return this.#sessions.sort((a, b) => a.startMs - b.startMs);
  }

  #arrivals(
    perSecond: number,
    [fromMs, untilMs]: readonly [number, number],
    start: (atMs: number) => void,
  ): void {
    if (perSecond === 0) return;
    let atMs = fromMs;
    for (;;) {
      atMs += this.#exponential(1000 / perSecond);
      if (atMs >= untilMs) return;
      start(atMs);
    }
  }

  /** A person who talks to one of many applications, each with its system prompt. */
  #chat(startMs: number): void {
    const drafts = Array.from({ length: this.#between(2, 12) }, () => ({
      question: this.#text(this.#logNormal(300, 1)),
      answerTokens: this.#logNormal(440, 0.7),
      thinkMs: 2_000 + this.#exponential(28_000),
    }));
    this.#add(startMs, this.#zipf(this.#apps), drafts);
  }

  /**
   * One to six agents that are started together on one task: a long system prompt with tools, the
   * task, then tool after tool with short pauses, until the context is full.
   */
  #agentGroup(startMs: number): void {
    const system = this.#zipf(this.#agents);
    const task = this.#text(this.#logNormal(1_200, 0.6));
    for (let left = this.#between(1, 6); left > 0; left--) {
      const drafts: Draft[] = [];
      let tokens = (system.length + task.length) / CHARACTERS_PER_TOKEN;
      for (let steps = this.#between(6, 24); steps > 0; steps--) {
        const first = drafts.length === 0;
        const part = `${first ? task : ''}${this.#text(this.#logNormal(first ? 30 : 500, 1))}`;
        const answerTokens = this.#logNormal(80, 0.6);
        tokens += part.length / CHARACTERS_PER_TOKEN + answerTokens;
        if (tokens > AGENT_MAX_TOKENS) break;
        drafts.push({ question: part, answerTokens, thinkMs: 200 + this.#exponential(1_300) });
      }
      this.#add(startMs + this.#prng.next() * 200, system, drafts);
    }
  }

  #visitor(startMs: number): void {
    const question = this.#text(this.#logNormal(40, 0.5));
    this.#add(startMs, this.#document, [
      { question, answerTokens: this.#logNormal(100, 0.5), thinkMs: 0 },
    ]);
  }

  #add(startMs: number, system: string, drafts: readonly Draft[]): void {
    const answers = drafts.map(({ answerTokens }) => this.#text(answerTokens));
    let tokens = system.length / CHARACTERS_PER_TOKEN;
    // Shared: a turn's keys are the beginning of the whole conversation's.
    const whole = drafts.map(({ question }, at) => `${question}${answers[at]}`).join('');
    const blockKeys = blockKeysOf(`${system}${whole}`);
    const turns = drafts.map(({ question, thinkMs }, at) => {
      const outputTokens = answers[at]!.length / CHARACTERS_PER_TOKEN;
      const promptTokens = tokens + question.length / CHARACTERS_PER_TOKEN;
      tokens = promptTokens + outputTokens;
      this.#keys.begin(MODEL);
      this.#keys.message('system', system);
      for (let turn = 0; turn < at; turn++) {
        this.#keys.message('user', drafts[turn]!.question);
        this.#keys.message('assistant', answers[turn]!);
      }
      this.#keys.message('user', question);
      return { key: this.#keys.finish(), promptTokens, outputTokens, blockKeys, thinkMs };
    });
    if (turns.length > 0) this.#sessions.push({ startMs, turns });
  }

  #text(tokens: number): string {
    return this.#pool.take(tokens, this.#prng);
  }

  /** The first one in 1, the second in 2, the third in 3 times as few draws. */
  #zipf(items: readonly string[]): string {
    const total = items.reduce((sum, _, index) => sum + 1 / (index + 1), 0);
    let draw = this.#prng.next() * total;
    let index = 0;
    while (index < items.length - 1 && draw >= 1 / (index + 1)) {
      draw -= 1 / (index + 1);
      index++;
    }
    return items[index]!;
  }

  #between(least: number, most: number): number {
    return least + this.#prng.int(most - least + 1);
  }

  #exponential(mean: number): number {
    return -Math.log(1 - this.#prng.next()) * mean;
  }

  /** Whole, at least 1. */
  #logNormal(mean: number, sigma: number): number {
    const draw = Math.exp(Math.log(mean) - sigma ** 2 / 2 + sigma * this.#prng.normal());
    return Math.max(1, Math.round(draw));
  }
}
