// The devices of one node: starts and stops them, finds them by address, places work on them, and
// samples their figures for members and gossip. One that cannot start is listed with its reason.
import { FlotillaError, messageOf, silentLogger } from '../core/index.ts';
import { SAMPLE_INTERVAL_MS } from './defaults.ts';
import { deviceOfShard, Placement } from './placement.ts';
import { utilizationOf } from './stats.ts';
import type { Clock, Logger, Timer } from '../core/index.ts';
import type { BackendKind } from './backend.ts';
import type { Device } from './device.ts';
import type { PlacementHints, PlacementOptions } from './placement.ts';
import type { DeviceLoad, DeviceStats } from './stats.ts';

export interface LocalDevicesComponents {
  readonly clock: Clock;
  readonly logger?: Logger;
}

export interface LocalDevicesOptions extends PlacementOptions {
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

/** A sample: the figures, and how busy the device was since the one before. */
export interface DeviceSample extends DeviceStats {
  /** 0 to 1. */
  readonly utilization: number;
}

export class LocalDevices {
  readonly #devices = new Map<string, Device>();
  readonly #unavailable: UnavailableDevice[] = [];
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #placement: Placement;
  readonly #sampleIntervalMs: number;
  readonly #listeners = new Set<(samples: readonly DeviceSample[]) => void>();
  #samples: readonly DeviceSample[] = [];
  #timer: Timer | undefined;

  constructor(components: LocalDevicesComponents, options: LocalDevicesOptions = {}) {
    const { clock, logger = silentLogger } = components;
    this.#clock = clock;
    this.#logger = logger;
    this.#sampleIntervalMs = options.sampleIntervalMs ?? SAMPLE_INTERVAL_MS;
    this.#placement = new Placement(options);
  }

  /** Starts `devices`; never rejects: what does not start is in `unavailable`. Then samples. */
  async start(devices: readonly Device[]): Promise<void> {
    await Promise.all(devices.map((device) => this.#startOne(device)));
    this.#sample();
    this.#timer ??= this.#clock.repeat(this.#sampleIntervalMs, () => this.#sample());
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#listeners.clear();
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

  /** The device for a piece of work, by figures of this moment. Raises `no_eligible_device`. */
  place(hints: PlacementHints = {}): Device {
    const stats = this.list().map((device) => device.stats());
    return this.get(this.#placement.pick(stats, hints, this.#clock.now()).address);
  }

  /** The device that serves a shard of this node, the same after a restart. @see deviceOfShard */
  forShard(shard: number, hints: PlacementHints = {}): Device {
    const stats = this.list().map((device) => device.stats());
    return this.get(deviceOfShard(shard, stats, hints).address);
  }

  /** The latest sample of each device, at most one interval old. */
  samples(): readonly DeviceSample[] {
    return this.#samples;
  }

  /** What a load record says of the GPUs among them; software adapters are none. */
  gpuLoads(): DeviceLoad[] {
    return this.#samples
      .filter(
        ({ backend, capabilities }) => backend === 'webgpu' && !capabilities.includes('software'),
      )
      .map(({ utilization, memoryUsed, memoryMax }) => ({ utilization, memoryUsed, memoryMax }));
  }

  /** Calls `listener` with each sample; the return value ends that. */
  onSample(listener: (samples: readonly DeviceSample[]) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async #startOne(device: Device): Promise<void> {
    try {
      await device.start();
      this.#devices.set(device.address, device);
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
    for (const listener of this.#listeners) listener(this.#samples);
  }
}
