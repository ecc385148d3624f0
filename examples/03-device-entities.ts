// Vectors that live on the devices of a fleet: an id reaches the device that serves its shard, on
// whichever node that is.
//   node examples/03-device-entities.ts
// Here two nodes with two devices each share one process; on two machines each would run `start`.
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { systemClock } from '../src/core/index.ts';
import { ClusterAuthority } from '../src/identity/index.ts';
import { Fleet, hasCode, layoutOf } from '../src/node/index.ts';
import type { DeviceRegion, NodeConfigInput } from '../src/node/index.ts';

const folder = await mkdtemp(path.join(os.tmpdir(), 'flotilla-devices-'));
const show = (line: string) => void process.stdout.write(`${line}\n`);

async function start(name: string, join: { seeds?: string[]; token?: string } = {}) {
  const options: NodeConfigInput = {
    ...{ name, dataDir: path.join(folder, name), http: false, log: 'silent' },
    listen: { host: '127.0.0.1', port: 0 },
    // A GPU that is not there is left out.
    devices: [{ backend: 'cpu' }, { backend: 'cpu' }, { backend: 'webgpu' }],
    ...join,
  };
  return join.token === undefined ? Fleet.found(options) : Fleet.join(options);
}

const first = await start('node-0');
const identity = layoutOf(path.join(folder, 'node-0')).identity;
const authority = await ClusterAuthority.open(identity, { clock: systemClock, create: false });
const second = await start('node-1', { seeds: [first.address], token: authority.createToken() });

// Made once, in the store: every node with devices hosts it from then on, unasked.
const vectors: DeviceRegion = await first.devices.region('vectors', { shards: 64 });

/** Asked from node-0 throughout; where the device is, the shard knows. */
async function double(id: string) {
  const device = vectors.entity(id);
  const x = await device.allocate('float32', 3);
  const y = await device.allocate('float32', 3);
  await device.copyIn(x, Float32Array.of(1, 2, 3));
  await device.launch({ kernel: 'axpy', alpha: 2, x, y });
  show(`${id}: shard ${device.shard} on ${x.device}: ${await device.copyOut(y)}`);
  return { device, x };
}

const ids = ['red', 'green', 'blue', 'grey', 'pink', 'teal'];
const [, green] = await Promise.all(ids.map(double));

// Work without a place of its own goes where the least waits, and stays there.
const free = await first.devices.place({ minFreeBytes: 1024 });
show(`the next piece of work goes to ${free.address}`);
for (const { address, state, reason } of (await first.devices.list()).devices) {
  show(`${address} is ${state}${reason === undefined ? '' : `: ${reason}`}`);
}

show('node-0 hands its shards over');
await first.sharding.drain(10_000);
await Promise.all(ids.map(double));
// Shards move, buffers do not: a name from before is refused, from wherever it is asked.
const refused = await green?.device.copyOut(green.x).catch((error) => error);
show(`the buffer of before: ${hasCode(refused) ? refused.message : 'still there'}`);

await second.stop();
await first.stop();
await rm(folder, { recursive: true });
