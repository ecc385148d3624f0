// An engine that speaks OpenAI's HTTP and runs without our doing: vLLM, SGLang, llama.cpp, Ollama,
// a provider, or another fleet. It says where it is and what it serves, and watches whether it is
// up.
import { z } from 'zod';
import { assert, FlotillaError, invalidOption } from '../core/index.ts';
import { EngineGauges } from '../load/index.ts';
import { ask } from './ask.ts';
import { ENGINE_DEFAULTS } from './defaults.ts';
import { HealthWatch } from './health-watch.ts';
import { ModelNames } from './model-names.ts';
import type { Clock } from '../core/index.ts';
import type { EngineLoad } from '../load/index.ts';
import type { Answer } from './ask.ts';
import type { Engine, EngineEvents, EngineState, EngineTarget } from './engine.ts';

/** What all engines have, whoever runs them. */
export interface EngineOptions {
  /** 1 to 63 of a-z, 0-9, dot and hyphen. */
  readonly name: string;
  /** Sent as `authorization: Bearer KEY`. */
  readonly apiKey?: string;
  /** Further header fields of every request, such as a provider's own key field. */
  readonly headers?: Readonly<Record<string, string>>;
  /** What it serves, by its own names. Without them it is asked, with each check. */
  readonly models?: readonly string[];
  /** Further names for its models: what clients say, and what the engine says. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** @default 1 */
  readonly capacity?: number;
  /** Asked first; where it is unknown (404), the list of models is asked for. @default "/health" */
  readonly healthPath?: string;
  /** Where its gauges are. @default "/metrics" */
  readonly metricsPath?: string;
  /** @default 2000 */
  readonly checkIntervalMs?: number;
  /** Between checks while it is not up. @default 500 */
  readonly retryIntervalMs?: number;
  /** @default 1500 */
  readonly checkTimeoutMs?: number;
  /** Failed checks in a row after which it is down. @default 3 */
  readonly failures?: number;
}

export interface OpenAiEngineOptions extends EngineOptions {
  /**
   * With or without a path: `http://10.0.0.5:8000` is taken for `http://10.0.0.5:8000/v1`. Health
   * and gauges are beside a last `/v1`, not below it.
   */
  readonly baseUrl: string;
}

const modelList = z.object({ data: z.array(z.object({ id: z.string().min(1) })) });

const NAME = /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/;
const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
const HEADER_VALUE = /^[\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$/;

export class OpenAiEngine implements Engine {
  readonly name: string;
  readonly target: EngineTarget;
  readonly capacity: number;
  readonly #clock: Clock;
  readonly #events: EngineEvents;
  readonly #options: ReturnType<typeof checkOptions>;
  /** Everything before `/health`. */
  readonly #root: string;
  readonly #names: ModelNames;
  readonly #gauges = new EngineGauges();
  #watch: HealthWatch | undefined;
  #problem: FlotillaError | undefined;

  constructor(components: { readonly clock: Clock } & EngineEvents, options: OpenAiEngineOptions) {
    this.#clock = components.clock;
    this.#events = components;
    this.#options = checkOptions(options);
    const { name, capacity, headers, baseUrl, models, aliases } = this.#options;
    this.name = name;
    this.capacity = capacity;
    this.target = { ...baseUrl, headers };
    this.#root = `${baseUrl.origin}${baseUrl.apiPath.replace(/\/v1$/, '')}`;
    this.#names = new ModelNames(models, aliases);
  }

  get state(): EngineState {
    if (this.#watch === undefined) return 'stopped';
    return this.#watch.health === 'unknown' ? 'starting' : this.#watch.health;
  }

  get problem(): FlotillaError | undefined {
    return this.#problem;
  }

  get models(): readonly string[] {
    return this.#names.models;
  }

  modelNamed(model: string): string | undefined {
    return this.#names.ownName(model);
  }

  start(): void {
    assert(this.#watch === undefined, 'an engine that is started does not run');
    this.#watch = new HealthWatch(
      {
        clock: this.#clock,
        check: (signal) => this.#check(signal),
        onChecked: ({ problem, changed }) => {
          this.#problem = problem;
          if (changed) this.#events.onChange?.(this);
        },
      },
      this.#options,
    );
  }

  async stop(): Promise<void> {
    if (this.#watch === undefined) return;
    this.#watch.stop();
    this.#watch = undefined;
    this.#problem = undefined;
    this.#events.onChange?.(this);
  }

  async load(): Promise<EngineLoad> {
    const { metricsPath } = this.#options;
    return this.#gauges.read(okText(await this.#ask(`${this.#root}${metricsPath}`)));
  }

  async #check(signal: AbortSignal): Promise<void> {
    const health = await this.#ask(`${this.#root}${this.#options.healthPath}`, signal);
    const known = health.status !== 404;
    if (known) okText(health);
    if (known && !this.#names.isAsked) return;
    const text = okText(await this.#ask(this.#urlOf('/models'), signal));
    if (this.#names.isAsked && this.#names.learn(this.#readModels(text))) {
      // A change of health that the same check brings is told with it.
      if (this.state === 'up') this.#events.onChange?.(this);
    }
  }

  #urlOf(path: string): string {
    return `${this.target.origin}${this.target.apiPath}${path}`;
  }

  #readModels(text: string): string[] {
    try {
      const { data } = modelList.parse(JSON.parse(text));
      return data.slice(0, ENGINE_DEFAULTS.maxModels).map(({ id }) => id);
    } catch (cause) {
      const url = this.#urlOf('/models');
      const message = `${url} gives no list of models`;
      throw new FlotillaError('engine_unreachable', message, { details: { url }, cause });
    }
  }

  async #ask(url: string, signal?: AbortSignal): Promise<Answer & { url: string }> {
    const { checkTimeoutMs, headers } = this.#options;
    const limits = { timeoutMs: checkTimeoutMs, maxBytes: ENGINE_DEFAULTS.maxAnswerBytes };
    return {
      ...(await ask(this.#clock, { url, headers, ...limits, ...(signal && { signal }) })),
      url,
    };
  }
}

function okText({ url, status, text }: Answer & { url: string }): string {
  if (status >= 200 && status < 300) return text;
  throw new FlotillaError('engine_unreachable', `${url} answers ${status}`, {
    details: { url, status },
  });
}

function checkOptions(options: OpenAiEngineOptions) {
  const checked = { ...ENGINE_DEFAULTS, ...options };
  const { name, capacity, models, aliases = {}, failures, healthPath, metricsPath } = checked;
  if (!NAME.test(name)) throw invalidOption('name', '1 to 63 of a-z, 0-9, dot and hyphen', name);
  if (!(capacity > 0 && Number.isFinite(capacity))) {
    throw invalidOption('capacity', 'above 0 and finite', capacity);
  }
  if (!(Number.isInteger(failures) && failures >= 1)) {
    throw invalidOption('failures', 'a whole number of at least 1', failures);
  }
  for (const option of ['checkIntervalMs', 'retryIntervalMs', 'checkTimeoutMs'] as const) {
    const value = checked[option];
    if (!(value > 0 && Number.isFinite(value))) throw invalidOption(option, 'above 0', value);
  }
  for (const [option, path] of Object.entries({ healthPath, metricsPath })) {
    if (!/^\/[\x21-\x7e]*$/.test(path)) throw invalidOption(option, 'a path from /', path);
  }
  const baseUrl = readBaseUrl(checked.baseUrl);
  return { ...checked, models, aliases, baseUrl, headers: headersOf(options) };
}

function headersOf({ apiKey, headers = {} }: EngineOptions): Record<string, string> {
  const all: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (!HEADER_NAME.test(lower)) throw invalidOption('headers', 'names of header fields', name);
    // Values may be secrets: they are in no message.
    if (!HEADER_VALUE.test(value)) throw invalidOption('headers', 'visible text', `${name}: …`);
    all[lower] = value;
  }
  if (apiKey === undefined) return all;
  if (!HEADER_VALUE.test(apiKey)) throw invalidOption('apiKey', 'visible text', '…');
  return { ...all, authorization: `Bearer ${apiKey}` };
}

function readBaseUrl(baseUrl: string): Pick<EngineTarget, 'origin' | 'apiPath'> {
  const rule = 'an http or https URL without user, query and fragment';
  const url = URL.parse(baseUrl);
  const plain = url?.username === '' && url.password === '' && !/[?#]/.test(baseUrl);
  if (url === null || !plain || !/^https?:$/.test(url.protocol)) {
    const shown = url?.password ? `${url.protocol}//…@${url.host}` : baseUrl;
    throw invalidOption('baseUrl', rule, shown);
  }
  const path = url.pathname.replace(/\/+$/, '');
  return { origin: url.origin, apiPath: path === '' ? '/v1' : path };
}
