// llama.cpp behind the routes that inference servers have, as far as a test asks for them: one
// slot, whose cache stays from request to request. Arguments: a port, the file of a model.
import http from 'node:http';
import { setImmediate } from 'node:timers/promises';

const [port = '0', modelPath = ''] = process.argv.slice(2);
const PACKAGE = 'node-llama-cpp';
const MODEL = 'tiny';
const ANSWER_TOKENS = 16;

interface Message {
  readonly role: string;
  readonly content: string;
}

interface Asked {
  readonly messages: readonly Message[];
  readonly stream?: boolean;
  readonly max_tokens?: number;
}

// The package is no dependency, so its types are not here either.
const { getLlama } = await import(PACKAGE);
const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error', maxThreads: 1 });
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({ contextSize: 4_096, sequences: 1, threads: 1 });
const slot = context.getSequence();

/** The request before, which has the slot until it is over. */
let last: Promise<void> = Promise.resolve();
let running = 0;

/** Forgets what the slot holds but the tokens that begin this prompt, too; says how many stay. */
async function keepPrefix(tokens: readonly number[]): Promise<number> {
  const held: readonly number[] = slot.contextTokens;
  let common = 0;
  // At least one token is read, or nothing would come next.
  while (common < tokens.length - 1 && held[common] === tokens[common]) common++;
  await slot.eraseContextTokenRanges([{ start: common, end: slot.nextTokenIndex }]);
  return common;
}

async function answer(asked: Asked, response: http.ServerResponse): Promise<void> {
  const { messages, stream = false, max_tokens: maxTokens = ANSWER_TOKENS } = asked;
  const prompt = messages.map(({ role, content }) => `${role}: ${content}\n`).join('');
  const tokens: number[] = model.tokenize(prompt);
  const cached = await keepPrefix(tokens);
  const common = { id: 'c', object: 'chat.completion', created: 0, model: MODEL };
  const send = (value: object) => response.write(`data: ${JSON.stringify(value)}\n\n`);
  if (stream) response.writeHead(200, { 'content-type': 'text/event-stream' });
  let text = '';
  let generated = 0;
  for await (const token of slot.evaluate(tokens.slice(cached), { temperature: 0 })) {
    const content: string = model.detokenize([token]);
    text += content;
    generated++;
    if (stream) send({ ...common, choices: [{ index: 0, delta: { content } }] });
    if (generated >= maxTokens || response.closed) break;
    await setImmediate();
  }
  const usage = {
    ...{ prompt_tokens: tokens.length, completion_tokens: generated },
    total_tokens: tokens.length + generated,
    prompt_tokens_details: { cached_tokens: cached },
  };
  if (stream) {
    send({ ...common, choices: [], usage });
    response.end('data: [DONE]\n\n');
    return;
  }
  const message = { role: 'assistant', content: text };
  response.setHeader('content-type', 'application/json');
  const choices = [{ index: 0, message, finish_reason: 'length' }];
  response.end(JSON.stringify({ ...common, choices, usage }));
}

function route(request: http.IncomingMessage, response: http.ServerResponse, body: string): void {
  switch (`${request.method} ${request.url}`) {
    case 'GET /health':
      response.end();
      break;
    case 'GET /metrics':
      response.end(`llamacpp:requests_processing ${running}\nllamacpp:requests_deferred 0\n`);
      break;
    case 'GET /v1/models':
      response.end(JSON.stringify({ object: 'list', data: [{ id: MODEL, object: 'model' }] }));
      break;
    case 'POST /v1/chat/completions':
      running++;
      last = last
        .then(() => (response.closed ? undefined : answer(JSON.parse(body), response)))
        .catch((error: Error) => {
          response.writeHead(500).end(JSON.stringify({ error: { message: error.message } }));
        })
        .finally(() => running--);
      break;
    default:
      response.writeHead(404).end();
  }
}

const server = http.createServer((request, response) => {
  let body = '';
  request.on('data', (part) => {
    body += part;
  });
  request.on('end', () => route(request, response, body));
});
server.listen(Number(port), '127.0.0.1');
process.once('SIGTERM', () => process.exit(0));
