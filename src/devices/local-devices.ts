// The devices of one node: starts and stops them, finds them by address or by the shard that they
// serve, and samples their figures. One that cannot start is listed with its reason.
import { FlotillaError, messageOf, silentLogger } from '../core/index.ts';
import { SAMPLE_INTERVAL_MS } from './defaults.ts';
import { deviceOfShard, servesShards } from './placement.ts';
import { utilizationOf } from './stats.ts';
import type { Clock, Logger, Timer } from '../core/index.ts';
import type { BackendKind } from './backend.ts';
import type { Device } from './device.ts';
import type { PlacementHints } from './placement.ts';
import type { DeviceLoad, DeviceSample } from './stats.ts';

export interface LocalDevicesComponents {
  readonly clock: Clock;
  readonly logger?: Logger;
}

export interface LocalDevicesOptions {
  /** How often figures are sampled. @default 250 */
  readonly sampleIntervalMs?: number;
}

/** A device that is not there, and why. */
export interface UnavailableDevice {
  readonly address: string;
  readonly backend: BackendKind;
  readonly code: string;
  readonly reason: string;
}

export class LocalDevices {
  readonly #devices = new Map<string, Device>();
  readonly #unavailable: UnavailableDevice[] = [];
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #sampleIntervalMs: number;
  #samples: readonly DeviceSample[] = [];
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(components: LocalDevicesComponents, options: LocalDevicesOptions = {}) {
    const { clock, logger = silentLogger } = components;
    this.#clock = clock;
    this.#logger = logger;
    this.#sampleIntervalMs = options.sampleIntervalMs ?? SAMPLE_INTERVAL_MS;
  }

  /** Starts `devices`; never rejects: what does not start is in `unavailable`. Then samples. */
  async start(devices: readonly Device[]): Promise<void> {
    await Promise.all(devices.map((device) => this.#startOne(device)));
    if (this.#isStopped) return;
    this.#sample();
    this.#timer ??= this.#clock.repeat(this.#sampleIntervalMs, () => this.#sample());
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await Promise.all([...this.#devices.values()].map((device) => device.stop()));
    this.#devices.clear();
    this.#samples = [];
  }

  get unavailable(): readonly UnavailableDevice[] {
    return this.#unavailable;
  }

  /** All devices that started once, by address. */
  list(): readonly Device[] {
    return [...this.#devices.values()];
  }

  /** Raises `device_unknown`. */
  get(address: string): Device {
    const device = this.#devices.get(address);
    if (device !== undefined) return device;
    const known = [...this.#devices.keys()];
    const message = `no device ${address} here; there are: ${known.join(', ') || 'none'}`;
    throw new FlotillaError('device_unknown', message, { details: { address, known } });
  }

  /** The device that serves a shard of this node, the same after a restart. @see deviceOfShard */
  forShard(shard: number, hints: PlacementHints = {}): Device {
    const stats = this.list().map((device) => device.stats());
    return this.get(deviceOfShard(shard, stats, hints).address);
  }

  /** Addresses of the devices that may serve shards now. */
  serving(hints: PlacementHints = {}): string[] {
    const stats = this.list().map((device) => device.stats());
    return stats.filter((each) => servesShards(each, hints)).map(({ address }) => address);
  }

  /** The latest sample of each device, at most one interval old. */
  samples(): readonly DeviceSample[] {
    return this.#samples;
  }

  /**
   * What a load record says of the GPUs among them. Software adapters are none, nor are those with
   * a capability in `except`; devices on one adapter are one GPU.
   */
  gpuLoads(except: readonly string[] = []): DeviceLoad[] {
    const left = ['software', ...except];
    const loads = new Map<string, DeviceLoad>();
    for (const sample of this.#samples) {
      const { backend, capabilities, description } = sample;
      if (backend !== 'webgpu' || capabilities.some((name) => left.includes(name))) continue;
      const other = loads.get(description);
      loads.set(description, {
        utilization: Math.max(sample.utilization, other?.utilization ?? 0),
        memoryUsed: sample.memoryUsed + (other?.memoryUsed ?? 0),
        memoryMax: sample.memoryMax + (other?.memoryMax ?? 0),
      });
    }
    return [...loads.values()];
  }

  async #startOne(device: Device): Promise<void> {
    try {
      await device.start();
      if (!this.#isStopped) this.#devices.set(device.address, device);
    } catch (error) {
      const { address, backend } = device.stats();
      const code = error instanceof FlotillaError ? error.code : 'internal';
      const reason = messageOf(error);
      this.#unavailable.push({ address, backend, code, reason });
      this.#logger.info({ device: address, reason }, 'device unavailable');
      await device.stop();
    }
  }

  #sample(): void {
    const before = new Map(this.#samples.map((sample) => [sample.address, sample]));
    this.#samples = this.list().map((device) => {
      const stats = device.stats();
      return { ...stats, utilization: utilizationOf(before.get(stats.address), stats) };
    });
  }
}
