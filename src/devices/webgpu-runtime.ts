// One WebGPU device: buffers, copies and passes. It runs on the thread of `webgpu-worker.ts`, since
// the binding polls its event loop while the GPU works. Every method queues its work before its
// first await, so that the GPU sees calls in the order in which they are made.
import { assert, FlotillaError } from '../core/index.ts';
import { deviceFault, indexOutOfRange, indexRepeated } from './errors.ts';
import { passesOf } from './webgpu-passes.ts';
import { DOT_GROUPS, FINE, SHADERS } from './wgsl.ts';
import type { BoundLaunch } from './launch.ts';
import type { Pass, PassBuffer, Passes } from './webgpu-passes.ts';
import type { ShaderName } from './wgsl.ts';

// Values of GPUBufferUsage and GPUMapMode in the specification; Node has no such globals.
const MAP_READ = 0x1;
const COPY_SRC = 0x4;
const COPY_DST = 0x8;
const UNIFORM = 0x40;
const STORAGE = 0x80;

/** The largest parameter block of a shader: eight words. */
const PARAMS_BYTES = 32;
/** Words that the status consists of, as a copy needs them. */
const STATUS_BYTES = 16;
const ALL_FINE = new Uint32Array(STATUS_BYTES / 4).fill(FINE);

export class WebGpuRuntime {
  readonly #device: GPUDevice;
  readonly #pipelines = new Map<ShaderName, GPUComputePipeline>();
  readonly #buffers = new Map<number, GPUBuffer>();
  readonly #params: readonly GPUBuffer[];
  readonly #partials: GPUBuffer;
  readonly #status: GPUBuffer;
  /** One bit for each row of the largest table that was checked for repeated ids. */
  #seen: GPUBuffer | undefined;
  #lastHandle = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
    const own = (size: number, usage: number) => device.createBuffer({ size, usage });
    // One for each pass of a launch; a launch rewrites them in the order of the queue.
    this.#params = [0, 1].map(() => own(PARAMS_BYTES, UNIFORM | COPY_DST));
    this.#partials = own(DOT_GROUPS * 4, STORAGE);
    this.#status = own(STATUS_BYTES, STORAGE | COPY_DST | COPY_SRC);
  }

  /** Raises `out_of_memory`. WebGPU buffers start zeroed. */
  async allocate(bytes: number): Promise<number> {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#device.limits;
    const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
    if (bytes > limit)
      throw outOfMemory(bytes, `the adapter binds at most ${limit} at once`, limit);
    this.#device.pushErrorScope('out-of-memory');
    const usage = STORAGE | COPY_SRC | COPY_DST;
    const buffer = this.#device.createBuffer({ size: bytes, usage });
    const handle = ++this.#lastHandle;
    this.#buffers.set(handle, buffer);
    const error = await this.#device.popErrorScope();
    if (error === null) return handle;
    this.free(handle);
    throw outOfMemory(bytes, error.message, limit);
  }

  free(handle: number): void {
    this.#buffer(handle).destroy();
    this.#buffers.delete(handle);
  }

  /** Whole words are written; the bytes before and after them are merged into theirs. */
  async write(handle: number, offset: number, data: Uint8Array): Promise<void> {
    const from = Math.min(data.length, -offset & 3);
    const to = Math.max(from, from + ((data.length - from) & ~3));
    const words = data.subarray(from, to) as Uint8Array<ArrayBuffer>;
    this.#patch(handle, offset, data.subarray(0, from));
    this.#device.queue.writeBuffer(this.#buffer(handle), offset + from, words);
    this.#patch(handle, offset + to, data.subarray(to));
    await this.#device.queue.onSubmittedWorkDone();
  }

  async read(handle: number, offset: number, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const start = offset & ~3;
    const size = Math.ceil((offset + bytes - start) / 4) * 4;
    if (size === 0) return new Uint8Array(0);
    const staging = this.#device.createBuffer({ size, usage: MAP_READ | COPY_DST });
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.#buffer(handle), start, staging, 0, size);
    this.#device.queue.submit([encoder.finish()]);
    const result = await take(staging);
    return result.subarray(offset - start, offset - start + bytes);
  }

  /** Raises `index_out_of_range`, `index_repeated`. */
  async launch(launch: BoundLaunch): Promise<void> {
    const plan = passesOf(launch);
    if (plan.passes.length === 0) return;
    if (plan.check === undefined) {
      this.#device.queue.submit([this.#encode(plan).finish()]);
      await this.#device.queue.onSubmittedWorkDone();
      return;
    }
    const { ids, limit } = plan.check;
    this.#device.queue.writeBuffer(this.#status, 0, ALL_FINE);
    const encoder = this.#encode(plan);
    const staging = this.#device.createBuffer({ size: STATUS_BYTES, usage: MAP_READ | COPY_DST });
    encoder.copyBufferToBuffer(this.#status, 0, staging, 0, STATUS_BYTES);
    this.#device.queue.submit([encoder.finish()]);
    const [outside = FINE, again = FINE] = new Uint32Array((await take(staging)).buffer);
    if (outside !== FINE) throw indexOutOfRange(outside, await this.#idAt(ids, outside), limit);
    if (again !== FINE) throw indexRepeated(again, await this.#idAt(ids, again));
  }

  close(): void {
    this.#device.destroy();
    this.#buffers.clear();
  }

  #encode({ passes, check }: Passes): GPUCommandEncoder {
    const encoder = this.#device.createCommandEncoder();
    if (check?.distinct) encoder.clearBuffer(this.#seenFor(check.limit));
    passes.forEach((pass, i) => {
      const params = this.#params[i];
      assert(params, `a launch of ${passes.length} passes`);
      this.#device.queue.writeBuffer(params, 0, paramBytes(pass));
      this.#dispatch(encoder, pass, params);
    });
    return encoder;
  }

  #dispatch(encoder: GPUCommandEncoder, pass: Pass, params: GPUBuffer): void {
    const pipeline = this.#pipeline(pass.shader);
    const buffers = [params, ...pass.buffers.map((buffer) => this.#bufferOf(buffer))];
    const bindGroup = this.#device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    const { maxComputeWorkgroupsPerDimension } = this.#device.limits;
    const encoding = encoder.beginComputePass();
    encoding.setPipeline(pipeline);
    encoding.setBindGroup(0, bindGroup);
    encoding.dispatchWorkgroups(Math.min(pass.groups, maxComputeWorkgroupsPerDimension));
    encoding.end();
  }

  /** Merges up to three bytes into the word that they belong to. */
  #patch(handle: number, offset: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const first = offset & 3;
    const view = new DataView(new ArrayBuffer(8));
    bytes.forEach((byte, i) => {
      view.setUint8(first + i, byte);
      view.setUint8(4 + first + i, 0xff);
    });
    const params = [offset >>> 2, view.getUint32(4, true), view.getUint32(0, true)];
    const passes: Pass[] = [{ shader: 'patch', params, buffers: [handle], groups: 1 }];
    this.#device.queue.submit([this.#encode({ passes }).finish()]);
  }

  /** Compiled when it is first needed, without awaiting: order comes before speed. */
  #pipeline(shader: ShaderName): GPUComputePipeline {
    let pipeline = this.#pipelines.get(shader);
    if (pipeline === undefined) {
      const module = this.#device.createShaderModule({ code: SHADERS[shader], label: shader });
      const compute = { module, entryPoint: 'main' };
      pipeline = this.#device.createComputePipeline({ layout: 'auto', compute, label: shader });
      this.#pipelines.set(shader, pipeline);
    }
    return pipeline;
  }

  #bufferOf(buffer: PassBuffer): GPUBuffer {
    if (buffer === 'partials') return this.#partials;
    if (buffer === 'status') return this.#status;
    if (buffer === 'seen') return this.#seenFor(0);
    return this.#buffer(buffer);
  }

  #seenFor(rows: number): GPUBuffer {
    const size = Math.max(4, Math.ceil(rows / 32) * 4);
    if (this.#seen === undefined || this.#seen.size < size) {
      this.#seen?.destroy();
      this.#seen = this.#device.createBuffer({ size, usage: STORAGE | COPY_DST });
    }
    return this.#seen;
  }

  #buffer(handle: number): GPUBuffer {
    const buffer = this.#buffers.get(handle);
    assert(buffer, `no buffer ${handle}`);
    return buffer;
  }

  async #idAt(ids: number, at: number): Promise<number> {
    const bytes = await this.read(ids, at * 4, 4);
    return new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
  }
}

/** The bytes of a staging buffer once they are there. Raises `device_fault`. */
async function take(staging: GPUBuffer): Promise<Uint8Array<ArrayBuffer>> {
  try {
    await staging.mapAsync(MAP_READ);
  } catch (cause) {
    throw deviceFault('the GPU did not finish', cause);
  }
  const bytes = new Uint8Array(staging.getMappedRange().slice(0));
  staging.unmap();
  staging.destroy();
  return bytes;
}

function paramBytes({ params, shader }: Pass): ArrayBuffer {
  assert(params.length * 4 <= PARAMS_BYTES, `${shader} has ${params.length} parameters`);
  const view = new DataView(new ArrayBuffer(PARAMS_BYTES));
  params.forEach((value, i) => {
    if (typeof value === 'number') view.setUint32(i * 4, value, true);
    else view.setFloat32(i * 4, value.float, true);
  });
  return view.buffer;
}

function outOfMemory(bytes: number, why: string, limit: number): FlotillaError {
  return new FlotillaError('out_of_memory', `no GPU buffer of ${bytes} bytes: ${why}`, {
    details: { requested: bytes, limit },
  });
}
