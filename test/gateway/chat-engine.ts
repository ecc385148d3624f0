// An engine that answers as inference servers do, in every shape that clients ask for: it repeats
// what it was told, calls the first tool that it is offered, and fails when it is told to.
import { MODEL } from './engine-site.ts';
import type { ServerResponse } from 'node:http';
import type { EngineHandler } from './engine-site.ts';

const USAGE = {
  ...{ prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
  prompt_tokens_details: { cached_tokens: 1 },
};
const CREATED = 1_700_000_000;

interface Message {
  readonly role: string;
  readonly content: unknown;
}

interface Asked {
  readonly stream?: boolean;
  readonly messages?: readonly Message[];
  readonly prompt?: string;
  readonly input?: string;
  readonly encoding_format?: string;
  readonly tools?: readonly { readonly function: { readonly name: string } }[];
}

export const chatEngine: EngineHandler = (request, response, body) => {
  const asked = JSON.parse(body) as Asked;
  switch (request.url) {
    case '/v1/chat/completions':
      chat(asked, response);
      break;
    case '/v1/completions': {
      const choices = [{ index: 0, text: `You said: ${asked.prompt}`, finish_reason: 'stop' }];
      json(response, { ...named('text_completion'), choices, usage: USAGE });
      break;
    }
    case '/v1/embeddings': {
      const bytes = Buffer.from(Float32Array.of(0.5, 2).buffer);
      const embedding = asked.encoding_format === 'base64' ? bytes.toString('base64') : [0.5, 2];
      json(response, { object: 'list', model: MODEL, data: [{ index: 0, embedding }] });
      break;
    }
    case '/v1/responses':
      respond(`You said: ${asked.input}`, asked.stream === true, response);
      break;
    default:
      response.writeHead(404).end('{"error":{"message":"no such path"}}');
  }
};

const named = (object: string) => ({ id: 'c-1', object, created: CREATED, model: MODEL });

function json(response: ServerResponse, value: object): void {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(value));
}

function events(response: ServerResponse): (value: object | string) => void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  return (value) => {
    const type = typeof value === 'object' && 'type' in value ? `event: ${value.type}\n` : '';
    const data = typeof value === 'string' ? value : JSON.stringify(value);
    response.write(`${type}data: ${data}\n\n`);
  };
}

function chat({ messages = [], stream, tools }: Asked, response: ServerResponse): void {
  const last = messages.at(-1)!;
  const text = textOf(last.content);
  const [, status] = /^status (\d+)$/.exec(text) ?? [];
  if (status !== undefined) {
    response.writeHead(Number(status), { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: { message: `as told: ${status}`, type: 'told' } }));
    return;
  }
  if (text === 'hang') return;
  if (text === 'endless' || text === 'break off') {
    streamForever(response, text === 'break off' ? 3 : Number.POSITIVE_INFINITY);
    return;
  }
  const call = {
    id: 'call-1',
    type: 'function',
    function: { name: tools?.[0]?.function.name ?? '', arguments: '{"city":"Oslo"}' },
  };
  const isCall = tools !== undefined && last.role !== 'tool';
  const answer = last.role === 'tool' ? `It is ${text}` : `You said: ${text}`;
  const message = isCall ? { content: null, tool_calls: [call] } : { content: answer };
  const finish = isCall ? 'tool_calls' : 'stop';
  if (stream !== true) {
    const choices = [
      { index: 0, message: { role: 'assistant', ...message }, finish_reason: finish },
    ];
    json(response, { ...named('chat.completion'), choices, usage: USAGE });
    return;
  }
  const send = events(response);
  const chunk = (delta: object, finish_reason: string | null = null) =>
    send({ ...named('chat.completion.chunk'), choices: [{ index: 0, delta, finish_reason }] });
  chunk({ role: 'assistant', content: isCall ? null : '' });
  if (isCall) chunk({ tool_calls: [{ index: 0, ...call }] });
  else for (const part of answer.match(/.{1,4}/gs) ?? []) chunk({ content: part });
  chunk({}, finish);
  send({ ...named('chat.completion.chunk'), choices: [], usage: USAGE });
  send('[DONE]');
  response.end();
}

function streamForever(response: ServerResponse, breaksAfter: number): void {
  const send = events(response);
  let sent = 0;
  const timer = setInterval(() => {
    if (sent++ >= breaksAfter) response.destroy();
    const choices = [{ index: 0, delta: { content: 'on ' }, finish_reason: null }];
    send({ ...named('chat.completion.chunk'), choices });
  }, 2);
  response.once('close', () => clearInterval(timer));
}

function respond(text: string, isStreamed: boolean, response: ServerResponse): void {
  const content = [{ type: 'output_text', text, annotations: [] }];
  const item = { id: 'm-1', type: 'message', role: 'assistant', status: 'completed', content };
  const common = { id: 'r-1', object: 'response', created_at: CREATED, model: MODEL };
  const usage = { input_tokens: 3, output_tokens: 2, total_tokens: 5 };
  const whole = { ...common, status: 'completed', output: [item], usage };
  if (!isStreamed) {
    json(response, whole);
    return;
  }
  const send = events(response);
  const place = { item_id: 'm-1', output_index: 0, content_index: 0 };
  send({ type: 'response.created', response: { ...common, status: 'in_progress', output: [] } });
  for (const delta of text.match(/.{1,4}/gs) ?? []) {
    send({ type: 'response.output_text.delta', delta, ...place });
  }
  send({ type: 'response.completed', response: whole });
  response.end();
}

/** Contents are a text, or parts of one. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part: { text?: string }) => part.text ?? '').join('');
}
