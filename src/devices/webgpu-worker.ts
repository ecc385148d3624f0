// The thread of a WebGPU device. It loads the npm package `webgpu`, opens the adapter, and answers
// one request after the other; without package, driver or adapter it says so and ends.
import { parentPort, workerData } from 'node:worker_threads';
import { FlotillaError, messageOf } from '../core/index.ts';
import { MAX_CAPABILITIES } from './defaults.ts';
import { WebGpuRuntime } from './webgpu-runtime.ts';
import type {
  WebGpuFailure,
  WebGpuReply,
  WebGpuRequest,
  WebGpuWorkerData,
} from './webgpu-protocol.ts';

const { module } = workerData as WebGpuWorkerData;

/** The binding lives as long as somebody refers to it; collected early, it ends the process. */
const held: unknown[] = [];

function reply(message: WebGpuReply, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer);
}

function unavailable(message: string, cause?: unknown): FlotillaError {
  return new FlotillaError('backend_unavailable', message, { cause });
}

async function openDevice(): Promise<{ adapter: GPUAdapter; device: GPUDevice }> {
  let create: (options: string[]) => GPU;
  try {
    ({ create } = (await import(module)) as { create: (options: string[]) => GPU });
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND';
    const how = missing ? 'is not installed' : `cannot be loaded: ${messageOf(cause)}`;
    throw unavailable(`the npm package ${module} ${how}`, cause);
  }
  const gpu = create([]);
  held.push(gpu);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter === null) {
    throw unavailable('no WebGPU adapter: a GPU driver is missing (on Debian mesa-vulkan-drivers)');
  }
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const requiredLimits = { maxBufferSize, maxStorageBufferBindingSize };
  const device = await adapter.requestDevice({ requiredLimits });
  held.push(adapter, device);
  return { adapter, device };
}

function describe({ info, features }: GPUAdapter) {
  const software = info.isFallbackAdapter || info.architecture === 'software';
  const kinds = [
    ...(software ? ['software'] : []),
    ...(info.vendor ? [`vendor-${info.vendor}`] : []),
  ];
  return {
    description: info.description || `${info.vendor} ${info.architecture}`,
    capabilities: [...kinds, ...features].slice(0, MAX_CAPABILITIES),
  };
}

function failureOf(error: unknown): WebGpuFailure {
  if (!(error instanceof FlotillaError)) {
    return { code: 'device_fault', message: messageOf(error), details: {} };
  }
  const { code, message, details } = error;
  return { code, message, details };
}

async function answer(runtime: WebGpuRuntime, request: WebGpuRequest): Promise<void> {
  const { id } = request;
  try {
    const result = await perform(runtime, request);
    if (result instanceof Uint8Array) reply({ type: 'done', id, result }, [result.buffer]);
    else reply({ type: 'done', id, ...(result !== undefined && { result }) });
  } catch (error) {
    reply({ type: 'failed', id, failure: failureOf(error) });
  }
}

function perform(runtime: WebGpuRuntime, request: WebGpuRequest) {
  switch (request.call) {
    case 'allocate':
      return runtime.allocate(request.bytes);
    case 'free':
      return runtime.free(request.handle);
    case 'write':
      return runtime.write(request.handle, request.offset, request.data);
    case 'read':
      return runtime.read(request.handle, request.offset, request.bytes);
    case 'launch':
      return runtime.launch(request.launch);
    case 'close':
      runtime.close();
      // Nothing else keeps the thread alive.
      parentPort?.close();
      return undefined;
  }
}

try {
  const { adapter, device } = await openDevice();
  void device.lost.then(({ message }) => reply({ type: 'lost', message }));
  device.onuncapturederror = ({ error }) => reply({ type: 'lost', message: error.message });
  const runtime = new WebGpuRuntime(device);
  parentPort?.on('message', (request: WebGpuRequest) => void answer(runtime, request));
  reply({ type: 'ready', ...describe(adapter) });
} catch (error) {
  reply({ type: 'unavailable', failure: failureOf(error) });
}
