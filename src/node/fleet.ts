// What a program sees of Flotilla: one running node and its view of the fleet. How the node's parts
// are started and stopped is `start-node.ts`'s.
import { FlotillaError, hasCode, systemClock } from '../core/index.ts';
import { admitAnew, foundIdentity, joinIdentity } from './admission.ts';
import { parseConfig } from './config.ts';
import { DirectoryLock } from './directory-lock.ts';
import { startNode } from './start-node.ts';
import type { Coordinator, NodeInfo, RouteExplanation } from '../cluster/index.ts';
import type { FleetDevices } from '../placement/index.ts';
import type {
  AnyEntityType,
  EntityHandlers,
  EntityReference,
  EntityType,
  Sharding,
} from '../sharding/index.ts';
import type { Table, TableService, TableSpec } from '../tables/index.ts';
import type { Models, Trainer } from '../training/index.ts';
import type { EntityTypeLike, NodeConfig, NodeConfigInput } from './config.ts';
import type { NodeEnd, StartedNode } from './start-node.ts';

const clock = systemClock;

/**
 * A running node and its view of the fleet. Make one with `found` or `join`; end it with `stop`.
 */
export class Fleet implements AsyncDisposable {
  readonly name: string;
  readonly coordinator: Coordinator;
  readonly sharding: Sharding;
  /** The devices of all nodes: placing work on them, using them, regions over them. */
  readonly devices: FleetDevices;
  readonly tables: TableService;
  readonly models: Models;
  readonly trainer: Trainer;
  readonly #node: StartedNode;
  readonly #lock: DirectoryLock;

  private constructor(node: StartedNode, lock: DirectoryLock) {
    this.#node = node;
    this.#lock = lock;
    this.name = node.coordinator.nodeId;
    this.coordinator = node.coordinator;
    this.sharding = node.sharding;
    this.devices = node.devices;
    this.tables = node.tables;
    this.models = node.models;
    this.trainer = node.trainer;
  }

  /**
   * Founds a cluster on this node, or starts its founding node again. The node keeps the cluster's
   * CA and its store. Errors: `config_invalid`, `directory_not_writable`, `directory_in_use`,
   * `port_in_use`.
   */
  static async found(options: NodeConfigInput): Promise<Fleet> {
    return Fleet.#start(parseConfig(options), async (config) => {
      const { authority, credentials } = await foundIdentity(config, clock);
      return startNode(config, { credentials, authority });
    });
  }

  /**
   * Joins a cluster through one of `seeds`. The first time it needs a `token`.
   * Errors: those of `found`, `token_required`, `token_malformed`, `token_refused`,
   * `peer_unreachable`, `identity_refused`, `certificate_expired`, `certificate_revoked`,
   * `name_taken`, `name_conflict`.
   */
  static async join(options: NodeConfigInput): Promise<Fleet> {
    return Fleet.#start(parseConfig(options), async (config) => {
      const credentials = await joinIdentity(config, clock);
      try {
        return await startNode(config, { credentials });
      } catch (error) {
        // A token lets a revoked node in again, under a new key.
        if (!hasCode(error, 'certificate_revoked') || config.token === undefined) throw error;
        return startNode(config, { credentials: await admitAnew(config, clock) });
      }
    });
  }

  static async #start(
    config: NodeConfig,
    start: (config: NodeConfig) => Promise<StartedNode>,
  ): Promise<Fleet> {
    const lock = new DirectoryLock(config.dataDir);
    try {
      return new Fleet(await start(config), lock);
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  }

  /** Where peers reach this node, `host:port`. */
  get address(): string {
    return this.#node.address;
  }

  /** Where clients reach this node; undefined without HTTP. */
  get httpUrl(): string | undefined {
    return this.#node.httpUrl;
  }

  /** The healthy member that serves `key`. Errors: `no_healthy_member`. */
  route(key: string): NodeInfo {
    const member = this.coordinator.route(key);
    if (member !== undefined) return member;
    throw new FlotillaError('no_healthy_member', `no member is healthy to serve the key ${key}`);
  }

  /** Why `key` goes where it goes. */
  explain(key: string): RouteExplanation {
    return this.coordinator.explain(key);
  }

  /** Every member, the unhealthy ones included, by name. */
  members(): NodeInfo[] {
    return this.coordinator.registry.allNodes();
  }

  /**
   * Has this node host entities of `types` from now on; every node that is to host them says so,
   * with the same definition. Errors: `type_conflict`.
   */
  host(...types: readonly EntityTypeLike[]): void {
    for (const type of types) this.sharding.register(type as unknown as AnyEntityType);
  }

  /**
   * One entity, wherever it lives: made when it is first asked, owned by one node at a time. Has
   * this node host the type, as `host` does. Errors: `entity_id_invalid`, `type_conflict`.
   */
  entity<S extends object, H extends EntityHandlers<S>>(
    type: EntityType<S, H>,
    id: string,
  ): EntityReference<H> {
    return this.sharding.entity(type, id);
  }

  /**
   * Opens the table `name`; with a `spec`, makes it first when it does not exist.
   * Errors: `table_unknown`, `dimension_invalid`, `store_unavailable`.
   */
  async table(name: string, spec?: TableSpec): Promise<Table> {
    if (spec === undefined) return this.tables.open(name);
    const exists = (await this.tables.list()).some((table) => table.name === name);
    return exists ? this.tables.open(name) : this.tables.create(name, spec);
  }

  /**
   * Resolves when this node has nothing more to do in the fleet and wants to be stopped: it `left`,
   * because somebody asked it to, or its certificate was `revoked`.
   */
  get ended(): Promise<NodeEnd> {
    return this.#node.ended;
  }

  /** Lets requests go to other members first, then does what `stop` does. */
  async leave(): Promise<void> {
    await this.#node.leave();
    await this.stop();
  }

  /** Says good-bye to the cluster, stops listening and frees everything. */
  async stop(): Promise<void> {
    await this.#node.stop();
    this.#lock[Symbol.dispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
