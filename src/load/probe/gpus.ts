// NVIDIA GPUs, through `systeminformation`, which asks `nvidia-smi`. Where the driver is absent
// nothing is loaded and nothing is started.
import { existsSync } from 'node:fs';
import type { GpuLoad } from '../node-load.ts';

/** Where Linux, and Linux under Windows, show that the driver is there. */
const DRIVER_FILES = ['/proc/driver/nvidia/version', '/usr/lib/wsl/lib/nvidia-smi'];
const MEBIBYTE = 2 ** 20;

/** What `systeminformation` says of a GPU: percent and MiB; absent when it does not know. */
interface Controller {
  readonly utilizationGpu?: number;
  readonly memoryUsed?: number;
  readonly memoryTotal?: number;
}

/** Asks all GPUs once; undefined when this machine has no driver. */
export function nvidiaGpus(): (() => Promise<GpuLoad[]>) | undefined {
  if (!DRIVER_FILES.some((file) => existsSync(file))) return undefined;
  return async () => {
    const { graphics } = await import('systeminformation');
    const { controllers } = await graphics();
    return controllers.flatMap(readController);
  };
}

/** A GPU without all three figures is left out: half a record would look idle. */
export function readController(controller: Controller): GpuLoad[] {
  const { utilizationGpu, memoryUsed, memoryTotal } = controller;
  if (utilizationGpu === undefined || memoryUsed === undefined || !memoryTotal) return [];
  return [
    {
      utilization: Math.min(1, Math.max(0, utilizationGpu / 100)),
      memoryUsed: Math.max(0, memoryUsed * MEBIBYTE),
      memoryMax: memoryTotal * MEBIBYTE,
    },
  ];
}
