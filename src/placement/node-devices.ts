// The devices of this node: opened when somebody first uses one, so that a node without such use
// has no thread and no memory for them; asked by other nodes, and stopped with the node.
import { FlotillaError, sleep } from '../core/index.ts';
import { bytesOf, bytesPerElement, hostArrayOf, isDType, LocalDevices } from '../devices/index.ts';
import { releaseBytes } from '../peer/index.ts';
import { PLACEMENT_DEFAULTS } from './defaults.ts';
import type { Clock, Logger } from '../core/index.ts';
import type {
  CommandOptions,
  Device,
  DeviceBuffer,
  DeviceLoad,
  DeviceSample,
  DType,
  Launch,
  PlacementHints,
} from '../devices/index.ts';
import type { Payload, RpcHost } from '../peer/index.ts';

export const DEVICE_PROCEDURES = {
  list: 'devices.list',
  allocate: 'devices.allocate',
  copyIn: 'devices.copy-in',
  copyOut: 'devices.copy-out',
  free: 'devices.free',
  launch: 'devices.launch',
  stats: 'devices.stats',
} as const;

export interface NodeDevicesComponents {
  readonly clock: Clock;
  readonly log: Logger;
}

export class NodeDevices {
  readonly #clock: Clock;
  readonly #devices: readonly Device[];
  readonly #local: LocalDevices;
  #started: Promise<void> | undefined;
  #isReady = false;

  /** `devices` are not started. */
  constructor({ clock, log }: NodeDevicesComponents, devices: readonly Device[]) {
    this.#clock = clock;
    this.#devices = devices;
    this.#local = new LocalDevices({ clock, logger: log });
  }

  /** How many the configuration names. */
  get count(): number {
    return this.#devices.length;
  }

  /** Of them, those that are GPUs. */
  get gpuCount(): number {
    return this.#devices.filter((device) => device.stats().backend === 'webgpu').length;
  }

  /** Opens them, the first time; resolves when each is open or known not to be to be had. */
  start(): Promise<void> {
    this.#started ??= this.#local.start(this.#devices).then(() => {
      this.#isReady = true;
    });
    return this.#started;
  }

  /** As `start`, but waits a moment only: a processor is open by then, a GPU may not be. */
  async open(): Promise<void> {
    if (this.#isReady) return;
    await Promise.race([this.start(), sleep(this.#clock, PLACEMENT_DEFAULTS.startPatienceMs)]);
  }

  /** Lets what runs end, but not for ever. */
  async stop(): Promise<void> {
    const stops = [this.#local.stop(), ...this.#devices.map((device) => device.stop())];
    const patience = sleep(this.#clock, PLACEMENT_DEFAULTS.stopTimeoutMs);
    await Promise.race([Promise.all(stops), patience]);
  }

  /** One of this node, and the start of all. Errors: `device_unknown`, `backend_unavailable`. */
  get(address: string): Device {
    void this.start();
    if (this.#isReady) {
      const missing = this.#local.unavailable.find((each) => each.address === address);
      if (missing === undefined) return this.#local.get(address);
      throw new FlotillaError(missing.code, `${address} is not available: ${missing.reason}`);
    }
    const device = this.#devices.find((each) => each.address === address);
    // Commands wait until it is open.
    return device ?? this.#local.get(address);
  }

  /** The one that serves a shard of this node. Errors: `no_eligible_device`. */
  forShard(shard: number, hints: PlacementHints): Device {
    return this.#local.forShard(shard, hints);
  }

  /** Addresses of those that may serve shards now; none before the start. */
  serving(hints: PlacementHints): string[] {
    return this.#local.serving(hints);
  }

  /** The latest figures of each, of those too that are not to be had. Starts nothing. */
  records(): DeviceSample[] {
    const samples = new Map(this.#local.samples().map((sample) => [sample.address, sample]));
    const missing = new Map(
      this.#local.unavailable.map(({ address, reason }) => [address, reason]),
    );
    return this.#devices.map((device) => {
      const sample = samples.get(device.address) ?? { ...device.stats(), utilization: 0 };
      const reason = missing.get(device.address);
      return reason === undefined ? sample : { ...sample, state: 'dead', reason };
    });
  }

  /** @see LocalDevices.gpuLoads */
  gpuLoads(except?: readonly string[]): DeviceLoad[] {
    return this.#local.gpuLoads(except);
  }

  /** Lets other nodes list and use them. What arrives is checked by the device. */
  serve(host: Pick<RpcHost, 'handle'>): void {
    const { list, allocate, copyIn, copyOut, free, launch, stats } = DEVICE_PROCEDURES;
    host.handle(list, ({ body }) => this.#list(body));
    const serve = (procedure: string, run: Command) =>
      host.handle(procedure, ({ body, bytes }, context) => {
        const fields = (body ?? {}) as Readonly<Record<string, unknown>>;
        const { address, timeoutMs } = fields;
        const device = this.get(typeof address === 'string' ? address : '');
        const isTime = typeof timeoutMs === 'number' && timeoutMs > 0 && timeoutMs < 2 ** 31;
        const options = { signal: context.signal, ...(isTime && { timeoutMs }) };
        return run(device, fields, { bytes, options });
      });
    serve(allocate, async (device, { dtype, length }, { options }) => ({
      body: await device.allocate(dtype as DType, length as number, options),
    }));
    serve(copyIn, copyInto);
    serve(copyOut, copyFrom);
    serve(free, async (device, { buffer }, { options }) => {
      await device.free(buffer as DeviceBuffer, options);
      return DONE;
    });
    serve(launch, async (device, fields, { options }) => {
      await device.launch(fields['launch'] as Launch, options);
      return DONE;
    });
    serve(stats, (device) => ({ body: device.stats() }));
  }

  #list(body: unknown): Payload | Promise<Payload> {
    const answer = () => ({ body: { devices: this.records() } });
    const isUse = (body as { use?: unknown } | null)?.use === true;
    return isUse && !this.#isReady ? this.open().then(answer) : answer();
  }
}

type Command = (
  device: Device,
  fields: Readonly<Record<string, unknown>>,
  rest: { readonly bytes: Uint8Array | undefined; readonly options: CommandOptions },
) => Payload | Promise<Payload>;

const DONE: Payload = { body: {} };

const copyInto: Command = async (device, { buffer, offset }, { bytes, options }) => {
  const data = bytes ?? new Uint8Array(0);
  const dtype = (buffer as DeviceBuffer | undefined)?.dtype;
  // The wrong array for the buffer is refused by the device.
  const whole = isDType(dtype) && data.length % bytesPerElement(dtype) === 0;
  const array = whole ? hostArrayOf(dtype, data) : data;
  await device.copyIn(buffer as DeviceBuffer, array, { ...options, offset: offset as number });
  // Unless it failed, nothing reads them any more.
  releaseBytes(bytes);
  return DONE;
};

const copyFrom: Command = async (device, { buffer, offset, length }, { options }) => {
  const part = { ...options, offset: offset as number, length: length as number };
  return { body: {}, bytes: bytesOf(await device.copyOut(buffer as DeviceBuffer, part)) };
};
