// Devices of one node and its view of all others': served to the fleet, and followed from it.
import { DeviceRegions, FleetDevices } from '../placement/index.ts';
import type { Cluster } from '../cluster/index.ts';
import type { Clock, Logger } from '../core/index.ts';
import type { PeerHost } from '../peer/index.ts';
import type { NodeDevices } from '../placement/index.ts';
import type { Sharding } from '../sharding/index.ts';
import type { Store } from '../store/index.ts';

interface DevicesParts {
  readonly host: PeerHost;
  readonly cluster: Cluster;
  readonly store: Store;
  readonly sharding: Sharding;
  /** Stopped by who made them, after sharding, whose entities use them. */
  readonly own: NodeDevices;
  readonly clock: Clock;
  readonly log: Logger;
  readonly stack: AsyncDisposableStack;
}

/** Opens no device. */
export function startDevices(parts: DevicesParts): FleetDevices {
  const { host, cluster, store, sharding, own, clock, log, stack } = parts;
  own.serve(host);
  const regions = new DeviceRegions({ store, sharding, devices: own, clock, log });
  const devices = new FleetDevices({ host, cluster, own, regions, clock, log });
  devices.start();
  stack.defer(() => devices.stop());
  return devices;
}
