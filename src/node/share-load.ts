// Measures this node for real and shares it with the fleet: the probe, what it asks, and the gossip
// that carries its answers.
import { LoadGossip } from '../cluster/index.ts';
import { engineScrape, MachineProbe, nvidiaGpus } from '../load/index.ts';
import { gpusOf } from './device-loads.ts';
import { together } from './engine-loads.ts';
import type { LoadGossipComponents } from '../cluster/index.ts';
import type { EngineLoad, MachineProbeComponents } from '../load/index.ts';
import type { NodeDevices } from '../placement/index.ts';
import type { NodeConfig } from './config.ts';

export interface ShareLoadComponents extends Omit<LoadGossipComponents, 'probe'> {
  readonly devices: Pick<NodeDevices, 'gpuCount' | 'gpuLoads'>;
  readonly requests: MachineProbeComponents['requests'];
  /** What the engines behind the node say of themselves; absent where there are none. */
  readonly engines: (() => Promise<EngineLoad>) | undefined;
}

/** Starts at once; returns how to stop. */
export function shareLoad(config: NodeConfig, components: ShareLoadComponents): () => void {
  const { requests, engines, devices, ...shared } = components;
  const { engineMetricsUrl: url } = config;
  const gpus = gpusOf(nvidiaGpus(), devices);
  const asked = [engines, url === undefined ? undefined : engineScrape({ url })];
  const engine = together(asked.filter((ask) => ask !== undefined));
  const probe = new MachineProbe({
    ...{ clock: shared.clock, requests },
    ...(gpus !== undefined && { gpus }),
    ...(engine !== undefined && { engine }),
  });
  const gossip = new LoadGossip({ ...shared, probe });
  gossip.start();
  return () => gossip.stop();
}
