// What `GET /load` answers: the load of every node as this one knows it, and what the lanes to it
// carry. It is put together when somebody asks; who measures and gossips is `cluster/`.
import type { NodeLoad } from '../load/index.ts';
import type { LoadCounters, MemberStatus } from '../cluster/index.ts';
import type { GatewayComponents, LaneCounters } from './components.ts';

/** The lanes to one node together; zeros for a node without a connection. */
export interface LaneSummary {
  /** Messages that wait to be taken. */
  readonly depth: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly drops: number;
  readonly creditWaits: number;
}

export interface NodeLoadReport {
  readonly name: string;
  /** Null for a node that membership does not list. */
  readonly status: MemberStatus | null;
  /** Requests may go there. */
  readonly healthy: boolean;
  /** Since the record arrived; null like everything of it while nothing is known. */
  readonly ageMs: number | null;
  readonly load: NodeLoad | null;
  /** Smoothed, 0 to 1. */
  readonly cpu: number | null;
  readonly memory: number | null;
  readonly overloaded: boolean;
  /** Requests in flight there over its capacity, as far as the asked node knows. */
  readonly outstanding: number;
  readonly lanes: LaneSummary;
}

/** The body of `GET /load`. */
export interface LoadReport {
  /** Wall time of the asked node, milliseconds since 1970. */
  readonly at: number;
  /** The asked node's name. */
  readonly self: string;
  /** By name. */
  readonly nodes: readonly NodeLoadReport[];
  /** Records by what became of them since the asked node started. */
  readonly counters: LoadCounters;
}

const NO_LANES: LaneSummary = {
  depth: 0,
  bytesSent: 0,
  bytesReceived: 0,
  drops: 0,
  creditWaits: 0,
};

const NO_RECORDS: LoadCounters = {
  stored: 0,
  older: 0,
  removed: 0,
  full: 0,
  expired: 0,
  refused: 0,
};

export function loadReport(components: GatewayComponents): LoadReport {
  const { clock, coordinator, members, laneCounters } = components;
  const statuses = new Map(members?.list().map(({ name, status }) => [name, status]));
  const lanes = summaries(laneCounters?.() ?? []);
  const nodes = coordinator.registry.allNodes().map(({ id: name, healthy }): NodeLoadReport => {
    const known = coordinator.load?.of(name);
    const { ageMs = null, record: load = null, cpu = null, memory = null } = known ?? {};
    const { overloaded = false, outstanding = 0 } = known ?? {};
    return {
      ...{ name, status: statuses.get(name) ?? null, healthy },
      ...{ ageMs, load, cpu, memory, overloaded, outstanding },
      lanes: lanes.get(name) ?? NO_LANES,
    };
  });
  const counters = coordinator.load?.counters ?? NO_RECORDS;
  return { at: clock.wallTime(), self: coordinator.nodeId, nodes, counters };
}

function summaries(counters: readonly LaneCounters[]): Map<string, LaneSummary> {
  const byPeer = new Map<string, LaneSummary>();
  for (const lane of counters) {
    const sum = byPeer.get(lane.peer) ?? NO_LANES;
    byPeer.set(lane.peer, {
      depth: sum.depth + lane.depth,
      bytesSent: sum.bytesSent + lane.bytesSent,
      bytesReceived: sum.bytesReceived + lane.bytesReceived,
      drops: sum.drops + lane.drops,
      creditWaits: sum.creditWaits + lane.creditWaits,
    });
  }
  return byPeer;
}
