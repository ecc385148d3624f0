// An engine that the node runs itself, such as `llama-server`: started, watched, started again when
// it ends or hangs, and stopped with the node. How it is asked is the business of `OpenAiEngine`.
import net from 'node:net';
import { assert, FlotillaError, invalidOption } from '../core/index.ts';
import { PROCESS_DEFAULTS } from './defaults.ts';
import { EngineChild } from './engine-child.ts';
import { OpenAiEngine } from './openai-engine.ts';
import { RestartBackoff } from './restart-backoff.ts';
import type { Clock, Logger, Prng, Timer } from '../core/index.ts';
import type { EngineLoad } from '../load/index.ts';
import type { Engine, EngineEvents, EngineState, EngineTarget } from './engine.ts';
import type { EngineOptions } from './openai-engine.ts';
import type { BackoffOptions } from './restart-backoff.ts';

export interface ProcessEngineOptions extends EngineOptions, BackoffOptions {
  /** The program: a path, or a name that is looked up in the PATH of `environment`. */
  readonly command: string;
  /** `{host}` and `{port}` in them are replaced. No shell reads them. */
  readonly args?: readonly string[];
  /** All of its environment: nothing is inherited. Leave out what is secret to the node. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where it runs. @default the node's own */
  readonly directory?: string;
  /** Where it is told to listen. @default "127.0.0.1" */
  readonly host?: string;
  /** 0: a free one, chosen at each start. @default 0 */
  readonly port?: number;
  /** @default 600000 */
  readonly readyTimeoutMs?: number;
  /** One that was up and is down for so long is restarted. @default 60000 */
  readonly hungAfterMs?: number;
  /** Between SIGTERM and SIGKILL. @default 10000 */
  readonly stopTimeoutMs?: number;
}

export interface ProcessEngineComponents extends EngineEvents {
  readonly clock: Clock;
  readonly prng: Prng;
  readonly log: Logger;
}

export class ProcessEngine implements Engine {
  readonly #components: ProcessEngineComponents;
  readonly #options: ReturnType<typeof checkOptions>;
  readonly #backoff: RestartBackoff;
  /** Of the latest run; it keeps the names of the models while nothing runs. */
  #engine: OpenAiEngine;
  #child: EngineChild | undefined;
  #run: Promise<void> | undefined;
  #stopping = Promise.withResolvers<void>();
  #isStopping = false;
  #problem: FlotillaError | undefined;
  /** Of the run under way: gives it up when it does not get ready, or hangs. */
  #patience: Timer | undefined;
  #upSinceMs: number | undefined;
  #restarts = 0;

  constructor(components: ProcessEngineComponents, options: ProcessEngineOptions) {
    this.#components = components;
    this.#options = checkOptions(options);
    this.#backoff = new RestartBackoff(components.prng, options);
    this.#engine = this.#engineAt(this.#options.port);
  }

  get name(): string {
    return this.#options.name;
  }

  get capacity(): number {
    return this.#engine.capacity;
  }

  get state(): EngineState {
    if (this.#run === undefined || this.#isStopping) return 'stopped';
    return this.#child === undefined && this.#problem !== undefined ? 'down' : this.#runState;
  }

  get problem(): FlotillaError | undefined {
    return this.#problem ?? this.#engine.problem;
  }

  get target(): EngineTarget | undefined {
    return this.#child === undefined ? undefined : this.#engine.target;
  }

  get models(): readonly string[] {
    return this.#engine.models;
  }

  /** How often it was started again. */
  get restarts(): number {
    return this.#restarts;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  modelNamed(model: string): string | undefined {
    return this.#engine.modelNamed(model);
  }

  start(): void {
    assert(this.#run === undefined, 'an engine that is started does not run');
    this.#isStopping = false;
    this.#stopping = Promise.withResolvers<void>();
    this.#run = this.#runAgainAndAgain();
    this.#changed();
  }

  /** Asks the process to end, and waits for it. */
  async stop(): Promise<void> {
    if (this.#run === undefined) return;
    this.#isStopping = true;
    this.#stopping.resolve();
    this.#child?.stop();
    this.#changed();
    await this.#run;
    this.#run = undefined;
    this.#problem = undefined;
  }

  /** Ends the process at once, without waiting: for a node that is about to end itself. */
  kill(): void {
    this.#isStopping = true;
    this.#stopping.resolve();
    this.#child?.kill();
  }

  async load(): Promise<EngineLoad> {
    if (this.#child === undefined) {
      const message = `the engine ${this.name} does not run`;
      throw new FlotillaError('engine_unreachable', message, { details: { engine: this.name } });
    }
    return this.#engine.load();
  }

  get #runState(): EngineState {
    return this.#engine.state === 'stopped' ? 'starting' : this.#engine.state;
  }

  async #runAgainAndAgain(): Promise<void> {
    const { clock, log } = this.#components;
    while (!this.#isStopping) {
      const problem = await this.#runOnce();
      if (this.#isStopping) return;
      const upMs = this.#upSinceMs === undefined ? 0 : clock.now() - this.#upSinceMs;
      const delayMs = Math.round(this.#backoff.nextDelayMs(upMs));
      this.#problem = problem;
      log.warn({ engine: this.name, delayMs, err: problem }, 'engine ended; it is started again');
      this.#changed();
      await this.#pause(delayMs);
      if (!this.#isStopping) this.#restarts++;
    }
  }

  /** Resolves when the process has ended, with why. */
  async #runOnce(): Promise<FlotillaError> {
    const { clock } = this.#components;
    const { port: fixedPort, host, command, args, readyTimeoutMs } = this.#options;
    this.#upSinceMs = undefined;
    let givenUp: string | undefined;
    try {
      const port = fixedPort === 0 ? await freePort(host) : fixedPort;
      if (this.#isStopping) return this.#failed('it was stopped');
      const filled = args.map((arg) =>
        arg.replaceAll('{host}', host).replaceAll('{port}', `${port}`),
      );
      const child = new EngineChild(clock, { ...this.#options, command, args: filled });
      const giveUp = (why: string) => {
        givenUp = why;
        child.stop();
      };
      this.#child = child;
      this.#engine = this.#engineAt(port, giveUp);
      this.#problem = undefined;
      this.#wait(readyTimeoutMs, () => giveUp(`it was not ready within ${readyTimeoutMs} ms`));
      this.#engine.start();
      this.#changed();
      const how = await child.exited;
      return this.#failed(givenUp ?? how, child.output);
    } catch (error) {
      return this.#failed((error as Error).message);
    } finally {
      this.#patience?.cancel();
      this.#child = undefined;
      await this.#engine.stop();
    }
  }

  #engineAt(port: number, giveUp: (why: string) => void = () => {}): OpenAiEngine {
    const { host, hungAfterMs } = this.#options;
    const address = host.includes(':') ? `[${host}]` : host;
    const { clock, log } = this.#components;
    const onChange = (engine: Engine) => {
      if (this.#child === undefined) return;
      if (engine.state === 'up') {
        this.#patience?.cancel();
        this.#upSinceMs ??= clock.now();
        log.info({ engine: this.name, models: engine.models }, 'engine is up');
      } else if (engine.state === 'down') {
        this.#wait(hungAfterMs, () => giveUp(`it has not answered for ${hungAfterMs} ms`));
      }
      this.#changed();
    };
    const baseUrl = `http://${address}:${port}`;
    return new OpenAiEngine({ clock, onChange }, { ...this.#options, baseUrl });
  }

  #failed(how: string, output = ''): FlotillaError {
    const lastWords = output.trimEnd().split('\n').at(-1)?.trim() ?? '';
    const words = lastWords === '' ? '' : `: ${lastWords}`;
    const message = `the engine ${this.name} ended (${how})${words}`;
    return new FlotillaError('engine_failed', message, { details: { engine: this.name, how } });
  }

  #wait(delayMs: number, then: () => void): void {
    this.#patience?.cancel();
    this.#patience = this.#components.clock.schedule(delayMs, then);
  }

  /** Ends early when the engine is stopped. */
  async #pause(delayMs: number): Promise<void> {
    const over = Promise.withResolvers<void>();
    const timer = this.#components.clock.schedule(delayMs, over.resolve);
    await Promise.race([over.promise, this.#stopping.promise]);
    timer.cancel();
  }

  #changed(): void {
    this.#components.onChange?.(this);
  }
}

/** A port that nobody listened on a moment ago. */
function freePort(host: string): Promise<number> {
  const server = net.createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen({ host, port: 0 }, () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function checkOptions(options: ProcessEngineOptions) {
  const checked = { args: [], port: 0, ...PROCESS_DEFAULTS, ...options };
  const { command, port } = checked;
  if (command === '') throw invalidOption('command', 'a program', '""');
  if (!(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
    throw invalidOption('port', 'a whole number from 0 to 65535', port);
  }
  for (const option of ['readyTimeoutMs', 'hungAfterMs', 'stopTimeoutMs'] as const) {
    const value = checked[option];
    if (!(value > 0 && Number.isFinite(value))) throw invalidOption(option, 'above 0', value);
  }
  if (port === 0 && !checked.args.some((arg) => arg.includes('{port}'))) {
    throw invalidOption('args', 'ones that tell the program its {port}', checked.args.join(' '));
  }
  return checked;
}
