// A seeded queueing simulation of routers and nodes: requests arrive, a router of several chooses a
// node by what it knows, nodes serve first come first served, and tell all routers of their load
// once a second. The balancers, views and stores are those of `src/load/`.
import { createPrng } from '../../src/core/index.ts';
import { LoadStore, RoutingView } from '../../src/load/index.ts';
import { EventQueue } from '../event-queue.ts';
import type { Prng } from '../../src/core/index.ts';
import type { Balancer, Candidates, NodeLoad } from '../../src/load/index.ts';
import type { Scenario } from './scenarios.ts';

/** What a policy may see: a router's own view, and for the oracle the truth. */
export interface PolicyContext {
  readonly view: RoutingView;
  readonly store: LoadStore;
  readonly prng: Prng;
  readonly nodes: readonly SimulatedNode[];
  readonly names: readonly string[];
}

export type Policy = (context: PolicyContext) => Balancer;

export interface Outcome {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly meanMs: number;
  /** The most requests that one node ever had. */
  readonly maxInFlight: number;
  /** The share of the busiest node over what its capacity calls for. */
  readonly hotShare: number;
  readonly requests: number;
}

/** One node: `slots` requests at a time, each at `speed`; the rest wait. */
export class SimulatedNode {
  readonly name: string;
  readonly slots: number;
  readonly waiting: Request[] = [];
  #head = 0;
  speed: number;
  running = 0;
  served = 0;
  most = 0;
  #busyMs = 0;
  #changedAtMs = 0;
  #sampledBusyMs = 0;
  #sampledAtMs = 0;

  constructor(name: string, { slots, speed }: { slots: number; speed: number }) {
    this.name = name;
    this.slots = slots;
    this.speed = speed;
  }

  get queued(): number {
    return this.waiting.length - this.#head;
  }

  get outstanding(): number {
    return this.running + this.queued;
  }

  get capacity(): number {
    return this.slots * this.speed;
  }

  /** Adds or removes one running request. */
  run(change: 1 | -1, nowMs: number): void {
    this.#busyMs += (nowMs - this.#changedAtMs) * this.running;
    this.#changedAtMs = nowMs;
    this.running += change;
  }

  next(): Request | undefined {
    const request = this.waiting[this.#head];
    if (request === undefined) return undefined;
    this.#head++;
    if (this.#head > 1024) this.waiting.splice(0, this.#head);
    if (this.#head > 1024) this.#head = 0;
    return request;
  }

  sample(nowMs: number): NodeLoad {
    const busyMs = this.#busyMs + (nowMs - this.#changedAtMs) * this.running;
    const elapsedMs = Math.max(1e-9, nowMs - this.#sampledAtMs);
    const cpu = (busyMs - this.#sampledBusyMs) / (elapsedMs * this.slots);
    this.#sampledBusyMs = busyMs;
    this.#sampledAtMs = nowMs;
    return {
      node: this.name,
      incarnation: 1,
      timestampMs: nowMs,
      cpu: Math.min(1, Math.max(0, cpu)),
      memoryUsed: 0,
      memoryMax: 0,
      heapUsed: 0,
      heapMax: 0,
      eventLoopDelayMs: 0,
      eventLoopUtilization: 0,
      inFlight: this.running,
      queued: this.queued,
    };
  }
}

interface Request {
  readonly workMs: number;
  readonly arrivedMs: number;
  readonly router: Router;
  dispatch: number;
}

interface Router {
  readonly view: RoutingView;
  readonly store: LoadStore;
  readonly balancer: Balancer;
}

/** Runs `policy` through `scenario`; equal seeds give equal outcomes. */
export function simulate(scenario: Scenario, policy: Policy, seed: number): Outcome {
  return new Simulation(scenario, policy, seed).run();
}

class Simulation {
  readonly #scenario: Scenario;
  readonly #events = new EventQueue<(nowMs: number) => void>();
  readonly #nodes: SimulatedNode[];
  readonly #routers: Router[];
  readonly #candidates: Candidates;
  readonly #arrivals: Prng;
  readonly #delays: Prng;
  readonly #latencies: number[] = [];

  constructor(scenario: Scenario, policy: Policy, seed: number) {
    this.#scenario = scenario;
    // Streams of their own: every policy meets the same requests.
    this.#arrivals = createPrng(seed, 1);
    this.#delays = createPrng(seed, 2);
    this.#nodes = scenario.nodes.map((node, index) => new SimulatedNode(`node-${index}`, node));
    const names = this.#nodes.map(({ name }) => name);
    const slots = new Uint16Array(names.length);
    this.#routers = Array.from({ length: scenario.routers }, (_, index) => {
      const view = new RoutingView(scenario.view);
      for (const [at, { name }] of this.#nodes.entries()) {
        slots[at] = view.add(name, scenario.knownCapacity ? this.#nodes[at]!.capacity : 1);
      }
      const store = new LoadStore();
      const prng = createPrng(seed, 100 + index);
      const balancer = policy({ view, store, prng, nodes: this.#nodes, names });
      return { view, store, balancer };
    });
    this.#candidates = { slots, count: names.length };
  }

  run(): Outcome {
    const { durationMs, sampleIntervalMs, events } = this.#scenario;
    for (const { atMs, node, speed } of events) {
      this.#events.push(atMs, () => {
        this.#nodes[node]!.speed = speed;
      });
    }
    for (const node of this.#nodes) {
      const first = this.#delays.next() * sampleIntervalMs;
      this.#events.push(first, (nowMs) => this.#sample(node, nowMs));
    }
    this.#scheduleArrival(0);
    this.#runUntil(durationMs);
    const counted = this.#latencies;
    counted.sort((a, b) => a - b);
    const at = (share: number) => counted[Math.floor(share * (counted.length - 1))] ?? 0;
    const served = this.#nodes.reduce((sum, node) => sum + node.served, 0);
    const capacity = this.#nodes.reduce((sum, node) => sum + node.capacity, 0);
    const shares = this.#nodes.map((node) => node.served / served / (node.capacity / capacity));
    return {
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      meanMs: counted.reduce((sum, value) => sum + value, 0) / counted.length,
      maxInFlight: Math.max(...this.#nodes.map(({ most }) => most)),
      hotShare: Math.max(...shares),
      requests: counted.length,
    };
  }

  #runUntil(endMs: number): void {
    const events = this.#events;
    for (let nowMs = events.nextAtMs; nowMs <= endMs; nowMs = events.nextAtMs) {
      events.pop()?.(nowMs);
    }
  }

  #scheduleArrival(nowMs: number): void {
    const { ratePerMs } = this.#scenario;
    // Thinning: draw at the peak rate, keep in proportion to the rate of the moment.
    let atMs = nowMs;
    do {
      atMs += -Math.log(1 - this.#arrivals.next()) / ratePerMs.peak;
    } while (this.#arrivals.next() * ratePerMs.peak > ratePerMs.at(atMs));
    this.#events.push(atMs, (now) => this.#arrive(now));
  }

  #arrive(nowMs: number): void {
    this.#scheduleArrival(nowMs);
    const router = this.#routers[this.#arrivals.int(this.#routers.length)]!;
    const workMs = this.#scenario.workMs(this.#arrivals);
    const slot = router.balancer.pick(this.#candidates, nowMs);
    const dispatch = router.view.dispatched(slot);
    const request: Request = { workMs, arrivedMs: nowMs, router, dispatch };
    const index = this.#candidates.slots.indexOf(slot);
    const node = this.#nodes[index]!;
    if (node.running < node.slots) this.#start(node, request, nowMs);
    else node.waiting.push(request);
    node.most = Math.max(node.most, node.outstanding);
  }

  #start(node: SimulatedNode, request: Request, nowMs: number): void {
    node.run(1, nowMs);
    this.#events.push(nowMs + request.workMs / node.speed, (now) =>
      this.#finish(node, request, now),
    );
  }

  #finish(node: SimulatedNode, request: Request, nowMs: number): void {
    node.run(-1, nowMs);
    const latencyMs = nowMs - request.arrivedMs;
    request.router.view.settled(request.dispatch, nowMs, { latencyMs, ok: true });
    if (request.arrivedMs >= this.#scenario.warmUpMs) {
      this.#latencies.push(latencyMs);
      node.served++;
    }
    const next = node.next();
    if (next !== undefined) this.#start(node, next, nowMs);
  }

  #sample(node: SimulatedNode, nowMs: number): void {
    const { sampleIntervalMs, gossipDelayMs } = this.#scenario;
    const record = node.sample(nowMs);
    for (const router of this.#routers) {
      const delayMs = gossipDelayMs * (0.5 + this.#delays.next());
      this.#events.push(nowMs + delayMs, (now) => {
        router.store.publish(record, now);
        router.view.update(node.name, router.store.get(node.name));
      });
    }
    this.#events.push(nowMs + sampleIntervalMs, (now) => this.#sample(node, now));
  }
}
