// Many clients at once that go away at random moments, in front of engines that fail at random:
// what a gateway must come out of with every count at 0. Raw sockets, so that a client can leave
// anywhere: within the head, within the body, while it waits, within the answer.
import { once } from 'node:events';
import net from 'node:net';
import { chat, completion } from './engine-site.ts';
import type { ServerResponse } from 'node:http';
import type { Prng } from '../../src/core/index.ts';
import type { EngineHandler } from './engine-site.ts';

const PATH = '/v1/chat/completions';
/** Conversations; few, so that what the gateway remembers of them has an end. */
const PROMPTS = 200;

export interface StormOptions {
  readonly port: number;
  readonly requests: number;
  /** Clients at a time. */
  readonly clients: number;
  readonly prng: Prng;
}

/** Requests by what became of them: a status, `broken` for a cut answer, or who left when. */
export type Outcomes = Map<string, number>;

/** Where a client leaves. */
const LEAVES = ['head', 'body', 'sent', 'waiting', 'answer', 'stays', 'stays', 'half-closes'];

export async function storm({ port, requests, clients, prng }: StormOptions): Promise<Outcomes> {
  const outcomes: Outcomes = new Map();
  let left = requests;
  const work = async () => {
    const client = new StormClient(port, prng);
    while (left-- > 0) {
      const outcome = await client.ask();
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    client.leave();
  };
  await Promise.all(Array.from({ length: clients }, work));
  return outcomes;
}

/** One client: keeps its connection while both ends let it. */
class StormClient {
  readonly #port: number;
  readonly #prng: Prng;
  #socket: net.Socket | undefined;

  constructor(port: number, prng: Prng) {
    this.#port = port;
    this.#prng = prng;
  }

  leave(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  async ask(): Promise<string> {
    const prng = this.#prng;
    const socket = await this.#connection();
    const where = LEAVES[prng.int(LEAVES.length)]!;
    const bytes = this.#request();
    const headEnd = bytes.indexOf('\r\n\r\n') + 4;
    if (where === 'head' || where === 'body') {
      const from = where === 'head' ? 0 : headEnd;
      const to = where === 'head' ? headEnd : bytes.length;
      socket.write(bytes.subarray(0, from + prng.int(to - from)));
      await pause(prng);
      this.#go();
      return `left in its ${where}`;
    }
    const answer = new AnswerReader(socket);
    if (where === 'half-closes') socket.end(bytes);
    else socket.write(bytes);
    if (where === 'stays') {
      const outcome = await answer.whole;
      if (!answer.keepsConnection) this.leave();
      return outcome;
    }
    if (where === 'half-closes') await answer.whole;
    if (where === 'waiting') await pause(prng);
    if (where === 'answer') await Promise.race([answer.begun, answer.whole]);
    this.#go();
    return `left: ${where}`;
  }

  /** With a FIN or a reset. */
  #go(): void {
    if (this.#prng.int(2) === 0) this.#socket?.resetAndDestroy();
    this.leave();
  }

  async #connection(): Promise<net.Socket> {
    if (this.#socket !== undefined && !this.#socket.destroyed) return this.#socket;
    const socket = net.connect({ port: this.#port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    this.#socket = socket;
    if (this.#prng.int(20) > 0)
      await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
    return socket;
  }

  #request(): Buffer {
    const prng = this.#prng;
    const number = prng.int(PROMPTS);
    const prompt = `conversation ${number} `.repeat(1 + (number % 40));
    const body = Buffer.from(JSON.stringify(chat(prompt, { stream: prng.int(2) === 0 })));
    const head = `POST ${PATH} HTTP/1.1\r\nhost: a\r\n`;
    if (prng.int(4) > 0) return join(`${head}content-length: ${body.length}\r\n\r\n`, body);
    const size = `transfer-encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n`;
    return join(head + size, body, '\r\n0\r\n\r\n');
  }
}

function join(...parts: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
}

/** Reads one answer off a connection, up to its last byte. */
class AnswerReader {
  readonly whole: Promise<string>;
  readonly begun: Promise<void>;
  keepsConnection = false;
  #text = '';

  constructor(socket: net.Socket) {
    const begun = Promise.withResolvers<void>();
    const whole = Promise.withResolvers<string>();
    this.begun = begun.promise;
    this.whole = whole.promise;
    const over = (outcome: string) => {
      socket.off('data', onData);
      socket.off('end', onEnd);
      socket.off('close', onEnd);
      whole.resolve(outcome);
    };
    const onEnd = () => over(this.#text === '' ? 'nothing' : 'broken');
    const onData = (chunk: Buffer) => {
      this.#text += chunk.toString('latin1');
      begun.resolve();
      const status = this.#wholeStatus();
      if (status !== undefined) over(status);
    };
    socket.on('data', onData);
    socket.on('end', onEnd);
    socket.on('close', onEnd);
    if (socket.destroyed) onEnd();
  }

  #wholeStatus(): string | undefined {
    const text = this.#text;
    const headEnd = text.indexOf('\r\n\r\n');
    if (headEnd < 0) return undefined;
    const head = text.slice(0, headEnd);
    const [, length] = /content-length: (\d+)/i.exec(head) ?? [];
    const isWhole =
      length === undefined
        ? text.endsWith('\r\n0\r\n\r\n')
        : text.length >= headEnd + 4 + Number(length);
    if (!isWhole) return undefined;
    this.keepsConnection = !/connection: close/i.test(head);
    return text.includes('engine_broke_off') ? 'told that it is broken' : head.slice(9, 12);
  }
}

/** A few turns of the loop, or a few milliseconds. */
async function pause(prng: Prng): Promise<void> {
  if (prng.int(2) === 0) {
    for (let turns = prng.int(8); turns > 0; turns--) await new Promise(setImmediate);
  } else await new Promise((resolve) => setTimeout(resolve, prng.int(12)));
}

/** An engine that fails now and then, at each moment that an engine can fail at. */
export class StormEngine {
  /** Requests that it answers now. */
  running = 0;
  readonly #prng: Prng;

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  readonly handler: EngineHandler = (request, response, body) => {
    const prng = this.#prng;
    this.running++;
    response.once('close', () => this.running--);
    const fate = prng.int(100);
    if (fate < 3) request.socket.destroy();
    else if (fate < 6) request.socket.resetAndDestroy();
    else if (fate < 12) this.#refuse(response);
    else if (fate < 14) later(200, () => response.end(completion('late')));
    else later(prng.int(8), () => this.#answer(response, JSON.parse(body).stream === true));
  };

  #refuse(response: ServerResponse): void {
    const status = [400, 408, 429, 500, 503][this.#prng.int(5)]!;
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end('{"error":{"message":"not now"}}');
  }

  #answer(response: ServerResponse, isStreamed: boolean): void {
    if (!isStreamed) {
      response.setHeader('content-type', 'application/json');
      response.end(completion('x'.repeat(this.#prng.int(2_000))));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const events = 1 + this.#prng.int(12);
    const cutAt = this.#prng.int(20) === 0 ? this.#prng.int(events) : -1;
    const next = (index: number) => {
      if (response.destroyed) return;
      if (index === cutAt) {
        response.destroy();
        return;
      }
      if (index === events) {
        response.end('data: [DONE]\n\n');
        return;
      }
      response.write(`data: {"choices":[{"index":0,"delta":{"content":"${index}"}}]}\n\n`);
      later(this.#prng.int(4), () => next(index + 1));
    };
    next(0);
  }
}

function later(delayMs: number, run: () => void): void {
  if (delayMs === 0) setImmediate(run);
  else setTimeout(run, delayMs);
}
