// What a load record says of a node's GPUs: the driver's figures, and those of its own devices that
// the driver does not speak for.
import type { GpuLoad } from '../load/index.ts';
import type { NodeDevices } from '../placement/index.ts';

/** What WebGPU calls the maker of the GPUs that the driver's tool knows. */
const NVIDIA = 'vendor-nvidia';

/**
 * Undefined where there is nothing to ask. One GPU is in it once: what the driver measures counts
 * every program, a device only what it holds itself.
 */
export function gpusOf(
  nvidia: (() => Promise<readonly GpuLoad[]>) | undefined,
  devices: Pick<NodeDevices, 'gpuCount' | 'gpuLoads'>,
): (() => Promise<readonly GpuLoad[]>) | undefined {
  if (devices.gpuCount === 0) return nvidia;
  return async () => {
    const measured = (await nvidia?.()) ?? [];
    return [...measured, ...devices.gpuLoads(measured.length > 0 ? [NVIDIA] : [])];
  };
}
