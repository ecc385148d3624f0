// Measures this node for real and shares it with the fleet: the probe, what it asks, and the gossip
// that carries its answers.
import { LoadGossip } from '../cluster/index.ts';
import { engineScrape, MachineProbe, nvidiaGpus } from '../load/index.ts';
import type { LoadGossipComponents } from '../cluster/index.ts';
import type { MachineProbeComponents } from '../load/index.ts';
import type { NodeConfig } from './config.ts';

export interface ShareLoadComponents extends Omit<LoadGossipComponents, 'probe'> {
  readonly requests: MachineProbeComponents['requests'];
}

/** Starts at once; returns how to stop. */
export function shareLoad(config: NodeConfig, components: ShareLoadComponents): () => void {
  const { requests, ...shared } = components;
  const { engineMetricsUrl: url } = config;
  const gpus = nvidiaGpus();
  const probe = new MachineProbe({
    ...{ clock: shared.clock, requests },
    ...(gpus !== undefined && { gpus }),
    ...(url !== undefined && { engine: engineScrape({ url }) }),
  });
  const gossip = new LoadGossip({ ...shared, probe });
  gossip.start();
  return () => gossip.stop();
}
