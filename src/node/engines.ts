// The engines behind this node and its way to those of others: made from the configuration, started
// and stopped, told to the fleet. What a request needs of them is in `gateway/`.
import { messageOf } from '../core/index.ts';
import { OpenAiEngine, ProcessEngine, startSimulatedEngine } from '../engines/index.ts';
import { EngineDirectory, EngineService, LocalEngines, stampOf } from '../gateway/index.ts';
import { HttpClient } from '../http/index.ts';
import { Router } from '../routing/index.ts';
import { together } from './engine-loads.ts';
import type { Cluster, Coordinator, MemberMetadata } from '../cluster/index.ts';
import type { Clock, Logger, Prng } from '../core/index.ts';
import type { Engine, EngineEvents } from '../engines/index.ts';
import type { EngineView, LocalEngine, Tracer } from '../gateway/index.ts';
import type { EngineLoad } from '../load/index.ts';
import type { PeerHost } from '../peer/index.ts';
import type { RouterOptions } from '../routing/index.ts';
import type { NodeConfig } from './config.ts';
import type { EngineConfig } from './engine-config.ts';

export interface NodeEnginesComponents {
  readonly host: PeerHost;
  readonly cluster: Cluster;
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly log: Logger;
  /** Absent where nothing is traced. */
  readonly tracer?: Tracer;
}

export class NodeEngines {
  readonly #components: NodeEnginesComponents;
  /** What the node says of itself apart from its engines. */
  readonly #metadata: MemberMetadata;
  readonly #stack = new AsyncDisposableStack();
  readonly #client: HttpClient;
  #local = new LocalEngines([]);
  #service: EngineService | undefined;
  #router: Router | undefined;
  #directory: EngineDirectory | undefined;

  private constructor(config: NodeConfig, components: NodeEnginesComponents) {
    this.#components = components;
    this.#metadata = config.metadata as MemberMetadata;
    this.#client = new HttpClient(components);
    this.#stack.defer(() => this.#client.close());
  }

  /** Errors: `invalid_option`, `engine_listen_failed`. */
  static async start(config: NodeConfig, components: NodeEnginesComponents): Promise<NodeEngines> {
    const engines = new NodeEngines(config, components);
    try {
      await engines.#start(config);
      return engines;
    } catch (error) {
      await engines.stop();
      throw error;
    }
  }

  /** How this node's gateway sees all engines of the fleet. Once. */
  view(options: RouterOptions = {}): EngineView {
    const { coordinator, prng } = this.#components;
    const router = new Router({ prng }, options);
    const directory = new EngineDirectory({
      ...this.#components,
      ...{ router, client: this.#client, local: this.#local },
      loadOf: (node) => coordinator.load.known(node),
    });
    this.#router = router;
    this.#directory = directory;
    directory.start();
    this.#stack.defer(() => directory.stop());
    return { router, routes: directory, list: () => directory.list() };
  }

  /** What the engines behind this node say of themselves; undefined where there are none. */
  get load(): (() => Promise<EngineLoad>) | undefined {
    return together(this.#local.all().map((engine) => () => this.#loadOf(engine)));
  }

  /** Lets what others ask of the engines here end within `graceMs`. Then `stop`. */
  async retire(graceMs: number): Promise<void> {
    await this.#service?.stop(graceMs);
  }

  async stop(): Promise<void> {
    await this.#stack.disposeAsync();
  }

  /** One without gauges has at least what this node knows of: of its gateway, and for others. */
  async #loadOf(engine: Engine): Promise<EngineLoad> {
    const { host, clock } = this.#components;
    const gauges = await engine.load().catch((): EngineLoad => ({}));
    if (gauges.running !== undefined || engine.state !== 'up') return gauges;
    const states = this.#router?.states(clock.now()) ?? [];
    const own = states.find(({ endpoint }) => endpoint === `${host.name}/${engine.name}`);
    const running = (own?.ownInFlight ?? 0) + (this.#service?.running(engine.name) ?? 0);
    return { ...gauges, running };
  }

  async #start({ engines }: NodeConfig): Promise<void> {
    const made: LocalEngine[] = [];
    for (const config of engines) {
      const engine = await this.#make(config);
      made.push({ engine, isReachable: config.reachable });
    }
    this.#local = new LocalEngines(made);
    const parts = { ...this.#components, client: this.#client, engines: this.#local };
    this.#service = new EngineService(parts);
    this.#service.start();
    this.#stack.defer(() => this.#local.stop());
    this.#local.start();
  }

  async #make(config: EngineConfig): Promise<Engine> {
    const { clock } = this.#components;
    const events: EngineEvents = { onChange: (engine) => this.#changed(engine) };
    switch (config.type) {
      case 'openai': {
        const { type: _type, reachable: _reachable, ...options } = config;
        return new OpenAiEngine({ clock, ...events }, options);
      }
      case 'process': {
        const { type: _type, reachable: _reachable, ...options } = config;
        const environment = { ...inherited(), ...options.environment };
        return new ProcessEngine({ ...this.#components, ...events }, { ...options, environment });
      }
      case 'simulated': {
        const server = await startSimulatedEngine({ clock }, { port: 0, ...config });
        this.#stack.defer(() => server.stop());
        const { type: _type, reachable: _reachable, models: _models, ...options } = config;
        return new OpenAiEngine({ clock, ...events }, { ...options, baseUrl: server.url });
      }
    }
  }

  #changed(engine: Engine): void {
    const { cluster, log } = this.#components;
    const { name, state, models, problem } = engine;
    log.info({ engine: name, state, models, err: problem }, `the engine ${name} is ${state}`);
    this.#directory?.localChanged();
    try {
      cluster.describe({ ...this.#metadata, engines: stampOf(this.#local.describe()) });
    } catch (error) {
      log.error({ err: error }, `the fleet is not told of the engines: ${messageOf(error)}`);
    }
  }
}

/** What nearly every program needs of the environment. The rest may be secret to the node. */
function inherited(): Record<string, string | undefined> {
  const { PATH, HOME } = process.env;
  return { PATH, HOME };
}
