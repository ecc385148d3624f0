// The gateway's Prometheus metrics, in a registry of their own: requests by route and status, the
// process, the cluster's health, this node's load, its shards and devices, and what the peer lanes
// have carried.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { DURATION_BUCKETS_S } from './defaults.ts';
import { addDeviceMetrics, addShardMetrics } from './metrics-shards.ts';
import type { KnownNode } from '../cluster/index.ts';
import type { DeviceSample } from '../devices/index.ts';
import type { ShardingMetrics } from '../sharding/index.ts';
import type { CoordinatorView, LaneCounters, QuicCounters } from './components.ts';

export interface MetricsSources {
  readonly coordinator: CoordinatorView;
  readonly laneCounters: () => readonly LaneCounters[];
  readonly quicCounters?: QuicCounters | undefined;
  readonly shardMetrics?: (() => ShardingMetrics) | undefined;
  readonly deviceMetrics?: (() => readonly DeviceSample[]) | undefined;
}

/** A finished request. `route` is the pattern, never the path: paths have no bound. */
export interface RequestSample {
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
}

export class GatewayMetrics {
  readonly #registry = new Registry();
  readonly #requests: Counter;
  readonly #durations: Histogram;

  constructor(sources: MetricsSources) {
    const registers = [this.#registry];
    const labelNames = ['method', 'route', 'status'];
    this.#requests = new Counter({
      name: 'flotilla_http_requests_total',
      help: 'HTTP requests answered.',
      labelNames,
      registers,
    });
    this.#durations = new Histogram({
      name: 'flotilla_http_request_duration_seconds',
      help: 'Time from a request to the end of its answer.',
      labelNames,
      buckets: [...DURATION_BUCKETS_S],
      registers,
    });
    addClusterGauges(this.#registry, sources.coordinator);
    addLoadGauges(this.#registry, sources.coordinator);
    addLaneCounters(this.#registry, sources.laneCounters);
    addLaneStates(this.#registry, sources.laneCounters);
    if (sources.quicCounters !== undefined) addQuicCounters(this.#registry, sources.quicCounters);
    const { shardMetrics, deviceMetrics } = sources;
    if (shardMetrics !== undefined) addShardMetrics(this.#registry, shardMetrics);
    if (deviceMetrics !== undefined) addDeviceMetrics(this.#registry, deviceMetrics);
    collectDefaultMetrics({ register: this.#registry });
  }

  /** For the metrics of other parts of the gateway. */
  get registry(): Registry {
    return this.#registry;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  observe({ method, route, status, seconds }: RequestSample): void {
    const labels = { method, route, status: String(status) };
    this.#requests.inc(labels);
    this.#durations.observe(labels, seconds);
  }

  /** The text of `GET /metrics`. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }
}

function addClusterGauges(registry: Registry, coordinator: CoordinatorView): void {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  gauge('flotilla_nodes', 'Nodes that this node knows, itself included.', () =>
    coordinator.clusterSize(),
  );
  gauge('flotilla_nodes_healthy', 'Nodes that requests are routed to.', () =>
    coordinator.healthyCount(),
  );
}

/** Counters that the peers keep; they are read when somebody asks, not pushed per message. */
function addLaneCounters(registry: Registry, read: () => readonly LaneCounters[]): void {
  const counter = (name: string, help: string, count: (lane: LaneCounters) => [number, number]) =>
    new Counter({
      name,
      help,
      labelNames: ['peer', 'lane', 'direction'],
      registers: [registry],
      collect() {
        this.reset();
        for (const counters of read()) {
          const { peer, lane } = counters;
          const [sent, received] = count(counters);
          this.inc({ peer, lane, direction: 'sent' }, sent);
          this.inc({ peer, lane, direction: 'received' }, received);
        }
      },
    });
  counter('flotilla_peer_messages_total', 'Messages on the lane to a peer.', (lane) => [
    lane.messagesSent,
    lane.messagesReceived,
  ]);
  counter('flotilla_peer_bytes_total', 'Bytes on the lane to a peer.', (lane) => [
    lane.bytesSent,
    lane.bytesReceived,
  ]);
}

type LaneState = 'depth' | 'drops' | 'creditWaits';

/** How full the lanes are, and what that cost. */
function addLaneStates(registry: Registry, read: () => readonly LaneCounters[]): void {
  const sample = (state: LaneState, add: (labels: LaneLabels, value: number) => void) => {
    for (const lane of read()) add({ peer: lane.peer, lane: lane.lane }, lane[state]);
  };
  const shared = { labelNames: ['peer', 'lane'], registers: [registry] };
  new Gauge({
    ...shared,
    name: 'flotilla_peer_queue_depth',
    help: 'Messages of a peer that wait to be taken.',
    collect() {
      this.reset();
      sample('depth', (labels, value) => this.set(labels, value));
    },
  });
  const counter = (name: string, help: string, state: LaneState) =>
    new Counter({
      ...shared,
      name,
      help,
      collect() {
        this.reset();
        sample(state, (labels, value) => this.inc(labels, value));
      },
    });
  counter('flotilla_peer_drops_total', 'Messages that the lane could not take.', 'drops');
  counter('flotilla_peer_credit_waits_total', 'Sends that waited for the peer.', 'creditWaits');
}

interface LaneLabels extends Record<string, string> {
  readonly peer: string;
  readonly lane: string;
}

function addQuicCounters(registry: Registry, counters: QuicCounters): void {
  const counter = (name: string, help: string, read: () => number) =>
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  counter(
    'flotilla_quic_moved_streams_total',
    'Streams that moved to a bulk socket.',
    () => counters.movedStreams,
  );
  counter(
    'flotilla_quic_stayed_writes_total',
    'Long writes that stayed on QUIC for want of a bulk socket.',
    () => counters.stayedWrites,
  );
}

/** What this node last said of itself; no sample while it has said nothing. */
function addLoadGauges(registry: Registry, { nodeId, load }: CoordinatorView): void {
  const gauge = (name: string, help: string, read: (node: KnownNode) => number | undefined) =>
    new Gauge({
      name,
      help,
      labelNames: ['node'],
      registers: [registry],
      collect() {
        this.reset();
        const known = load?.of(nodeId);
        const value = known && read(known);
        if (value !== undefined) this.set({ node: nodeId }, value);
      },
    });
  gauge('flotilla_node_cpu_ratio', 'Smoothed share of the processor.', ({ cpu }) => cpu);
  gauge('flotilla_node_memory_ratio', 'Smoothed share of the memory.', ({ memory }) => memory);
  gauge(
    'flotilla_node_in_flight',
    'Requests that the node works on.',
    ({ record }) => record?.inFlight,
  );
  gauge('flotilla_node_queued', 'Requests that wait for the node.', ({ record }) => record?.queued);
  new Counter({
    name: 'flotilla_load_records_total',
    help: 'Load records by what became of them.',
    labelNames: ['outcome'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [outcome, count] of Object.entries(load?.counters ?? {})) {
        this.inc({ outcome }, count);
      }
    },
  });
}
