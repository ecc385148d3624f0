// The devices of all members as this node has last heard, for placing work on them. It asks the
// members only while somebody uses it, and a while after that.
import { readDeviceSamples } from '../devices/index.ts';
import { isRoutable } from '../cluster/index.ts';
import { PLACEMENT_DEFAULTS } from './defaults.ts';
import { DEVICE_PROCEDURES } from './node-devices.ts';
import type { Clock, Logger, Timer } from '../core/index.ts';
import type { Cluster } from '../cluster/index.ts';
import type { DeviceSample } from '../devices/index.ts';
import type { RpcHost } from '../peer/index.ts';
import type { NodeDevices } from './node-devices.ts';

export interface DeviceViewComponents {
  readonly host: Pick<RpcHost, 'name' | 'call'>;
  readonly cluster: Pick<Cluster, 'members'>;
  readonly own: NodeDevices;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What a member said of its devices; undefined when it did not answer. */
export interface DevicesOfNode {
  readonly node: string;
  readonly devices: readonly DeviceSample[] | undefined;
}

export class DeviceView {
  readonly #components: DeviceViewComponents;
  readonly #known = new Map<string, readonly DeviceSample[]>();
  readonly #asking = new Set<string>();
  #timer: Timer | undefined;
  #usedAtMs = 0;
  #first: Promise<void> = Promise.resolve();

  constructor(components: DeviceViewComponents) {
    this.#components = components;
  }

  /** Figures of all devices that there are; those of silent members grow old. Has them opened. */
  async records(): Promise<readonly DeviceSample[]> {
    const { clock, own, host } = this.#components;
    this.#usedAtMs = clock.now();
    if (this.#timer === undefined) {
      this.#timer = clock.repeat(PLACEMENT_DEFAULTS.pollMs, () => this.#tick());
      this.#first = this.#askAll();
    }
    await Promise.all([this.#first, own.open()]);
    return this.#members().flatMap((node) => {
      return node === host.name ? own.records() : (this.#known.get(node) ?? []);
    });
  }

  /** Asks every member once, and has no device opened for it. By name. */
  list(): Promise<DevicesOfNode[]> {
    const { host, own, cluster } = this.#components;
    const timeoutMs = PLACEMENT_DEFAULTS.listTimeoutMs;
    const nodes = cluster.members().filter(({ status }) => status !== 'left' && status !== 'dead');
    return Promise.all(
      nodes.map(async ({ name: node }) => {
        if (node === host.name) return { node, devices: own.records() };
        const devices = await this.#ask(node, { use: false, timeoutMs }).catch(() => undefined);
        return { node, devices };
      }),
    );
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#known.clear();
  }

  /** Those that take requests: one that drains gets no new work. */
  #members(): string[] {
    const routable = this.#components.cluster.members().filter(isRoutable);
    return routable.map(({ name }) => name);
  }

  #tick(): void {
    if (this.#components.clock.now() - this.#usedAtMs > PLACEMENT_DEFAULTS.unusedAfterMs) {
      this.stop();
    } else {
      void this.#askAll();
    }
  }

  async #askAll(): Promise<void> {
    const { name } = this.#components.host;
    const others = this.#members().filter((node) => node !== name);
    for (const node of this.#known.keys()) if (!others.includes(node)) this.#known.delete(node);
    // One question at a time: an answer that took long never replaces a later one.
    await Promise.all(others.filter((node) => !this.#asking.has(node)).map((n) => this.#poll(n)));
  }

  async #poll(node: string): Promise<void> {
    const timeoutMs = PLACEMENT_DEFAULTS.pollTimeoutMs;
    this.#asking.add(node);
    try {
      const devices = await this.#ask(node, { use: true, timeoutMs });
      if (this.#timer !== undefined) this.#known.set(node, devices);
    } catch (error) {
      // What it said before counts until it is too old.
      this.#components.log.debug({ node, err: error }, 'a node does not tell of its devices');
    } finally {
      this.#asking.delete(node);
    }
  }

  /** Errors: those of a call, `launch_invalid`. */
  async #ask(
    node: string,
    { use, timeoutMs }: { readonly use: boolean; readonly timeoutMs: number },
  ): Promise<DeviceSample[]> {
    const { host, clock } = this.#components;
    const { body } = await host.call(
      node,
      DEVICE_PROCEDURES.list,
      { body: { use } },
      { timeoutMs },
    );
    const devices = readDeviceSamples((body as { devices?: unknown } | null)?.devices, clock.now());
    // A node speaks for its own devices only.
    return devices.filter(({ address }) => address.startsWith(`${node}/`));
  }
}
