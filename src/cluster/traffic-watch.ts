// Who sent anything since the last look, from the counters of the connections: a member that just
// answered a call need not be probed.
import type { ClusterHost, PeerTraffic } from './cluster-host.ts';

export class TrafficWatch {
  readonly #host: ClusterHost;
  #received = new Map<string, number>();
  #lookedMs = -Infinity;

  constructor(host: ClusterHost) {
    this.#host = host;
  }

  isDue(nowMs: number, intervalMs: number): boolean {
    return nowMs - this.#lookedMs >= intervalMs;
  }

  /** The peers whose counters moved. */
  heardFrom(nowMs: number): string[] {
    this.#lookedMs = nowMs;
    const received = new Map<string, number>();
    const heard: string[] = [];
    for (const peer of this.#host.peers()) {
      const messages = receivedOf(peer);
      received.set(peer.name, messages);
      if (messages > (this.#received.get(peer.name) ?? 0)) heard.push(peer.name);
    }
    this.#received = received;
    return heard;
  }
}

function receivedOf({ metrics }: PeerTraffic): number {
  const { requests, responses, channels } = metrics;
  return requests.receivedMessages + responses.receivedMessages + channels.receivedMessages;
}
