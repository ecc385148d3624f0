// What the gateway needs of the rest of a node, as narrow interfaces: any object that has these
// members will do, so that tests give it small fakes and `node/` gives it the real thing.
import type { ApiKey, ApiKeySpec } from '../admission/index.ts';
import type { Clock, Logger, Prng } from '../core/index.ts';
import type { DeviceSample } from '../devices/index.ts';
import type {
  KnownNode,
  LoadCounters,
  Member,
  NodeInfo,
  RouteExplanation,
} from '../cluster/index.ts';
import type { Router } from '../routing/index.ts';
import type { ShardingMetrics } from '../sharding/index.ts';
import type { Graph } from '../training/index.ts';
import type { EngineInfo } from './engines/engine-directory.ts';
import type { EngineRoutes } from './proxy/inference.ts';
import type { Tracer } from './tracing/tracer.ts';

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

/** What is known of every node's load: the coordinator's `load` has these members. */
export interface LoadView {
  readonly counters: LoadCounters;
  of(node: string): KnownNode | undefined;
}

/** This node's view of the cluster: the coordinator of `cluster/` has these members. */
export interface CoordinatorView {
  readonly nodeId: string;
  readonly registry: { allNodes(): readonly NodeInfo[] };
  /** Without it no load is known. */
  readonly load?: LoadView;
  topologySummary(): string;
  clusterSize(): number;
  healthyCount(): number;
  route(key: string): NodeInfo | undefined;
  explain(key: string): Pick<RouteExplanation, 'node' | 'owner' | 'cap' | 'candidates'>;
}

/** A member as membership has it, with what it last said of itself. */
export interface MemberInfo
  extends Pick<Member, 'name' | 'status' | 'incarnation' | 'address' | 'httpAddress' | 'metadata'> {
  /** 0 (idle) to 1 (saturated). */
  readonly load: number;
  /** Wall time of the last sign of life, milliseconds since 1970. */
  readonly lastSeenMs: number;
}

/** What an operator asks of members. Errors: `member_unknown`, and those of reaching the member. */
export interface MemberControl {
  list(): readonly MemberInfo[];
  /** Requests go elsewhere from now on; with `cancel`, they come back. */
  drain(name: string, cancel: boolean): Promise<void>;
  /** The member drains, says good-bye and stops. */
  leave(name: string): Promise<void>;
}

/** The API keys of the fleet as this node knows them; only the last two ask the store. */
export interface KeyControl {
  /** False while nobody ever made a key: then anybody may ask. Errors: `api_keys_unknown`. */
  readonly areRequired: boolean;
  /**
   * Whose request it is, by its `authorization` header; undefined while no key is required.
   * Errors: `api_key_refused`, `api_keys_unknown`.
   */
  authenticate(authorization: string | undefined): ApiKey | undefined;
  /** The oldest first, revoked ones included. Errors: `api_keys_unknown`. */
  list(): readonly ApiKey[];
  /**
   * `text` is what its holder sends, and is nowhere else.
   * Errors: `invalid_option`, `api_keys_full`, `api_keys_unknown`, `store_unavailable`.
   */
  create(spec: ApiKeySpec): Promise<{ readonly key: ApiKey; readonly text: string }>;
  /** No node takes the key from now on. Errors: `api_key_unknown`, `store_unavailable`. */
  revoke(id: string): Promise<ApiKey>;
}

/** Counted since the node started, for one lane to one peer. */
export interface LaneCounters {
  readonly peer: string;
  readonly lane: string;
  readonly messagesSent: number;
  readonly messagesReceived: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Messages that wait to be taken by this end. */
  readonly depth: number;
  /** Messages that the lane was too full for, or that had no receiver. */
  readonly drops: number;
  /** Sends that had to wait for the other end. */
  readonly creditWaits: number;
}

/** How long writes left over QUIC, counted since the node started. */
export interface QuicCounters {
  /** Streams that moved to a bulk socket. */
  readonly movedStreams: number;
  /** Long writes that stayed on QUIC because there was no bulk socket to be had. */
  readonly stayedWrites: number;
}

/** Devices, and the members that did not say which they have. */
export interface DeviceView {
  readonly devices: readonly unknown[];
  readonly silent: readonly string[];
}

export interface GatewayComponents {
  readonly models: ModelCatalogue;
  readonly trainer: TrainingService;
  readonly coordinator: CoordinatorView;
  /** What `GET /cluster` shows of the tables. */
  readonly tables?: () => Promise<readonly unknown[]>;
  /** What `GET /cluster/shards` shows: every shard with its owner. */
  readonly shards?: () => Promise<readonly unknown[]>;
  /** What `GET /cluster/devices` shows: every device of every node, and who did not answer. */
  readonly devices?: () => Promise<DeviceView>;
  readonly laneCounters?: () => readonly LaneCounters[];
  /** What this node's metrics say of its shards and entities. */
  readonly shardMetrics?: () => ShardingMetrics;
  /** What they say of its devices. */
  readonly deviceMetrics?: () => readonly DeviceSample[];
  /** Of a node whose peers speak QUIC. */
  readonly quicCounters?: QuicCounters;
  /** Without it members are neither listed nor asked anything. */
  readonly members?: MemberControl;
  /** Without it there are no API keys, and no routes about them. */
  readonly keys?: KeyControl;
  /** Traces requests for inference. Who makes it stops it, after the gateway. */
  readonly tracer?: Tracer;
  /** Where requests for inference go. */
  readonly engines: EngineView;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly log: Logger;
}

/** The engines of the fleet as this gateway reaches them; `EngineDirectory` has the last two. */
export interface EngineView {
  readonly router: Router;
  readonly routes: EngineRoutes;
  readonly list: () => readonly EngineInfo[];
}
