// What the gateway needs of the rest of a node, as narrow interfaces: any object that has these
// members will do, so that tests give it small fakes and `node/` gives it the real thing.
import type { Clock, Logger } from '../core/index.ts';
import type { NodeInfo } from '../cluster/index.ts';
import type { Graph } from '../training/index.ts';

/** What is known of a model. Figures that a model does not have yet are left out. */
export interface ModelInfo {
  readonly name: string;
  /** `ready` once its training has finished; anything else names what it is doing. */
  readonly status: string;
  readonly dim?: number;
  /** Wall time, milliseconds since 1970. */
  readonly createdMs?: number;
  readonly [figure: string]: unknown;
}

export interface Scored {
  readonly id: string;
  readonly score: number;
}

/** Vectors row after row in the order asked; they count only when no word is unknown. */
export interface Embedded {
  readonly vectors: Float32Array;
  readonly unknown: readonly string[];
}

export interface ModelCatalogue {
  list(): Promise<readonly ModelInfo[]>;
  embed(model: string, words: readonly string[]): Promise<Embedded>;
  neighbors(model: string, word: string, k: number): Promise<readonly Scored[]>;
  complete(model: string, head: string, relation: string, k: number): Promise<readonly Scored[]>;
}

/** JSON-able. The gateway passes it on and reads only its type. */
export interface TrainingEvent {
  readonly type: string;
}

export interface TrainingControl {
  /** Aborts when the client goes away or the server stops. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: TrainingEvent) => void;
}

/** The trainer of `training/` has this member. */
export interface TrainingService {
  /** Checks the options, which come from a query string, and resolves after the last event. */
  train(graph: Graph, options: object, control: TrainingControl): Promise<unknown>;
}

/** This node's view of the cluster: the coordinator of `cluster/` has these members. */
export interface CoordinatorView {
  readonly nodeId: string;
  readonly registry: { allNodes(): readonly NodeInfo[] };
  topologySummary(): string;
  clusterSize(): number;
  healthyCount(): number;
  route(key: string): NodeInfo | undefined;
  explain(key: string): { readonly candidates: readonly unknown[] };
}

/** Counted since the node started, for one lane to one peer. */
export interface LaneCounters {
  readonly peer: string;
  readonly lane: string;
  readonly messagesSent: number;
  readonly messagesReceived: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

export interface GatewayComponents {
  readonly models: ModelCatalogue;
  readonly trainer: TrainingService;
  readonly coordinator: CoordinatorView;
  /** What `GET /cluster` shows of the tables. */
  readonly tables?: () => Promise<readonly unknown[]>;
  readonly laneCounters?: () => readonly LaneCounters[];
  readonly clock: Clock;
  readonly log: Logger;
}
