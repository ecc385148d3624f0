// Which engines the fleet has and how this gateway reaches each: those behind this node, and those
// that other members say are behind them. It keeps the router's endpoints in step.
//
// What is gossiped is only a stamp of each member's list; who sees a new one asks that member for
// the list itself, so that gossip stays small however many models there are.
import { FlotillaError, messageOf } from '../../core/index.ts';
import { fnv1a64, toHex } from '../../hash/index.ts';
import { ENGINE_LINK } from '../defaults.ts';
import { openAt } from '../proxy/engine-route.ts';
import { readDescriptions } from './descriptions.ts';
import { PeerRoute } from './peer-route.ts';
import type { ClusterEvent, Member } from '../../cluster/index.ts';
import type { Clock, Logger, Prng, Timer } from '../../core/index.ts';
import type { EngineTarget } from '../../engines/index.ts';
import type { HttpClient } from '../../http/index.ts';
import type { KnownLoad } from '../../load/index.ts';
import type { PeerHost } from '../../peer/index.ts';
import type { Router } from '../../routing/index.ts';
import type { EngineRoute } from '../proxy/engine-route.ts';
import type { EngineRoutes } from '../proxy/inference.ts';
import type { EngineDescription, LocalEngines } from './local-engines.ts';

export interface EngineDirectoryComponents {
  readonly host: Pick<PeerHost, 'name' | 'call' | 'peer'>;
  readonly cluster: {
    members(): Member[];
    watch(listener: (event: ClusterEvent) => void): () => void;
  };
  /** The newest load of a node. */
  readonly loadOf: (node: string) => KnownLoad | undefined;
  readonly router: Router;
  readonly client: HttpClient;
  readonly local: LocalEngines;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly log: Logger;
}

/** An engine somewhere in the fleet, for people and JSON. */
export interface EngineInfo extends EngineDescription {
  readonly node: string;
  /** `node/engine`: what the router calls it. */
  readonly endpoint: string;
  readonly via: EngineRoute['via'];
}

interface KnownNode {
  /** Of the list that was read; undefined until then. */
  stamp: string | undefined;
  engines: readonly EngineDescription[];
  isAsking: boolean;
  /** It takes no new requests. */
  isDraining: boolean;
  /** When the load arrived that the router was told last. */
  heardAtMs: number | undefined;
}

/**
 * What a member gossips of its engines, in `metadata.engines`: a stamp of their descriptions. Why
 * one is not up changes from check to check, and changes nothing for those who route.
 */
export function stampOf(engines: readonly EngineDescription[]): string[] {
  if (engines.length === 0) return [];
  const told = engines.map(({ problem: _, ...engine }) => engine);
  return [toHex(fnv1a64(JSON.stringify(told), { hi: 0, lo: 0 }))];
}

/** A node's load as that of its engines: what they say of themselves, where they do. */
export function engineLoadOf(known: KnownLoad): KnownLoad {
  const { record } = known;
  const { running = 0, waiting = 0 } = record.engine ?? {};
  return { ...known, record: { ...record, inFlight: running, queued: waiting } };
}

export class EngineDirectory implements EngineRoutes {
  readonly #components: EngineDirectoryComponents;
  readonly #nodes = new Map<string, KnownNode>();
  readonly #routes = new Map<string, EngineRoute>();
  #timer: Timer | undefined;
  #unwatch: (() => void) | undefined;

  constructor(components: EngineDirectoryComponents) {
    this.#components = components;
  }

  start(): void {
    const { cluster } = this.#components;
    this.#unwatch = cluster.watch((event) => this.#memberChanged(event.member, event.type));
    this.localChanged();
    for (const member of cluster.members()) this.#memberChanged(member, 'joined');
    this.#hear();
  }

  stop(): void {
    this.#unwatch?.();
    this.#timer?.cancel();
  }

  of(endpoint: string): EngineRoute | undefined {
    return this.#routes.get(endpoint);
  }

  /** An engine behind this node changed its state, its models or its address. */
  localChanged(): void {
    const { host, local } = this.#components;
    this.#take(host.name, local.describe());
  }

  list(): EngineInfo[] {
    return [...this.#nodes].flatMap(([node, { engines }]) =>
      engines.map((engine) => {
        const endpoint = endpointOf(node, engine.name);
        return { ...engine, node, endpoint, via: this.#viaOf(node, engine) };
      }),
    );
  }

  #memberChanged(member: Member, type: ClusterEvent['type']): void {
    const { host, router } = this.#components;
    const { name, status, declared, metadata } = member;
    const isSelf = name === host.name;
    if (!isSelf && (type === 'removed' || status === 'dead' || status === 'left')) {
      this.#take(name, []);
      this.#nodes.delete(name);
      return;
    }
    const known = this.#known(name);
    known.isDraining = declared === 'leaving';
    for (const { name: engine } of known.engines) {
      router.drain(endpointOf(name, engine), known.isDraining);
    }
    const stamp = metadata.engines?.join() ?? '';
    if (!isSelf && known.stamp !== stamp) void this.#ask(name, stamp);
  }

  async #ask(node: string, stamp: string): Promise<void> {
    const { host, clock, log } = this.#components;
    const known = this.#known(node);
    if (stamp === '') {
      known.stamp = stamp;
      this.#take(node, []);
      return;
    }
    if (known.isAsking) return;
    known.isAsking = true;
    try {
      const timeoutMs = ENGINE_LINK.listTimeoutMs;
      const { body } = await host.call(node, ENGINE_LINK.list, { body: null }, { timeoutMs });
      if (this.#nodes.get(node) !== known) return;
      const engines = readDescriptions(body, node);
      known.stamp = stampOf(engines).join();
      this.#take(node, engines);
    } catch (error) {
      log.info({ peer: node, err: error }, `engines of ${node} are not known: ${messageOf(error)}`);
    } finally {
      known.isAsking = false;
    }
    // It changed meanwhile, or did not answer: the gossiped stamp says whether to ask again.
    const member = this.#components.cluster.members().find(({ name }) => name === node);
    const now = member?.metadata.engines?.join() ?? '';
    if (this.#nodes.get(node) !== known || known.stamp === now) return;
    clock.schedule(ENGINE_LINK.askAgainMs, () => void this.#ask(node, now));
  }

  /** Brings the router's endpoints of `node` in step with what it has. */
  #take(node: string, engines: readonly EngineDescription[]): void {
    const { router, clock, log } = this.#components;
    const known = this.#known(node);
    const before = new Set(known.engines.map(({ name }) => name));
    known.engines = engines;
    known.heardAtMs = undefined;
    for (const engine of engines) {
      const id = endpointOf(node, engine.name);
      const models = Object.keys(engine.models);
      if (!engine.isUp || models.length === 0) continue;
      before.delete(engine.name);
      this.#routes.set(id, this.#routeTo(node, engine));
      try {
        router.add({ id, node, models, capacity: engine.capacity }, clock.now());
        if (known.isDraining) router.drain(id, true);
      } catch (error) {
        log.error({ err: error, endpoint: id }, `${id} cannot be routed to: ${messageOf(error)}`);
      }
    }
    for (const name of before) {
      this.#routes.delete(endpointOf(node, name));
      router.remove(endpointOf(node, name));
    }
    // What is not up leaves no route behind either.
    for (const { name, isUp } of engines) if (!isUp) this.#routes.delete(endpointOf(node, name));
  }

  #routeTo(node: string, engine: EngineDescription): EngineRoute {
    const { host, client, local, prng } = this.#components;
    const target = () => (node === host.name ? local.named(engine.name)?.target : engine.target);
    if (this.#viaOf(node, engine) === 'direct') {
      return directRoute({ client, target, models: engine.models });
    }
    const tag = () => (BigInt(prng.uint32()) << 32n) | BigInt(prng.uint32());
    return new PeerRoute({ host, tag }, { node, engine: engine.name, models: engine.models });
  }

  #viaOf(node: string, engine: EngineDescription): EngineRoute['via'] {
    return node === this.#components.host.name || engine.target !== undefined ? 'direct' : 'node';
  }

  #known(node: string): KnownNode {
    let known = this.#nodes.get(node);
    if (known === undefined) {
      known = {
        ...{ stamp: undefined, engines: [], isAsking: false, isDraining: false },
        heardAtMs: undefined,
      };
      this.#nodes.set(node, known);
    }
    return known;
  }

  /** Tells the router what gossip knows of the nodes, as often as they say something new. */
  #hear(): void {
    const { router, loadOf, clock } = this.#components;
    for (const [node, known] of this.#nodes) {
      const load = loadOf(node);
      if (load?.receivedAtMs === known.heardAtMs) continue;
      known.heardAtMs = load?.receivedAtMs;
      router.hear(node, load && engineLoadOf(load));
    }
    this.#timer = clock.schedule(ENGINE_LINK.hearIntervalMs, () => this.#hear());
  }
}

function endpointOf(node: string, engine: string): string {
  return `${node}/${engine}`;
}

function directRoute({
  client,
  target,
  models,
}: {
  readonly client: HttpClient;
  readonly target: () => EngineTarget | undefined;
  readonly models: Readonly<Record<string, string>>;
}): EngineRoute {
  return {
    via: 'direct',
    modelNamed: (model) => (Object.hasOwn(models, model) ? models[model] : undefined),
    open(request, sink) {
      const now = target();
      if (now !== undefined) return openAt({ client, target: now }, request, sink);
      const call = { abort() {}, resume() {} };
      const error = new FlotillaError('engine_unavailable', 'the engine is not running');
      queueMicrotask(() => sink.onError(error));
      return call;
    },
  };
}
