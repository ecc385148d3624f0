// Vectors that live on the devices of a fleet: an id reaches the device that serves its shard, on
// whichever node that is.
//   node examples/03-device-entities.ts
// Here two nodes with two devices each share one process; on two machines each would run `start`.
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { systemClock } from '../src/core/index.ts';
import {
  CpuBackend,
  Device,
  deviceHandlers,
  LocalDevices,
  WebGpuBackend,
} from '../src/devices/index.ts';
import { ClusterAuthority } from '../src/identity/index.ts';
import { defineEntity, Fleet, hasCode, layoutOf } from '../src/node/index.ts';

const clock = systemClock;
const folder = await mkdtemp(path.join(os.tmpdir(), 'flotilla-devices-'));
const show = (line: string) => void process.stdout.write(`${line}\n`);

/** A device's commands as an entity. Each node gives its own devices; the shards decide whose. */
function deviceEntity(devices: LocalDevices) {
  return defineEntity({
    name: 'device',
    shards: 64,
    initial: () => ({}),
    handlers: deviceHandlers((shard) => devices.forShard(shard)),
  });
}

async function start(name: string, join: { seeds?: string[]; token?: string } = {}) {
  const listen = { host: '127.0.0.1', port: 0 };
  const dataDir = path.join(folder, name);
  const options = { name, dataDir, listen, http: false, log: 'silent', ...join } as const;
  const fleet = await (join.token === undefined ? Fleet.found(options) : Fleet.join(options));
  const device = (index: number) =>
    new Device({ backend: new CpuBackend(), clock }, { address: `${name}/cpu-${index}` });
  const devices = new LocalDevices({ clock });
  const gpu = new Device(
    { backend: new WebGpuBackend({ clock }), clock },
    { address: `${name}/gpu-0` },
  );
  await devices.start([device(0), device(1), gpu]);
  for (const { address, reason } of devices.unavailable) show(`${address} is left out: ${reason}`);
  return { fleet, devices, type: deviceEntity(devices) };
}

const first = await start('node-0');
const identity = layoutOf(path.join(folder, 'node-0')).identity;
const authority = await ClusterAuthority.open(identity, { clock, create: false });
const second = await start('node-1', {
  seeds: [first.fleet.address],
  token: authority.createToken(),
});
for (const { fleet, type } of [second, first]) fleet.host(type);

const bytes = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

/** Asked from node-0 throughout; where the device is, the shard knows. */
async function double(id: string) {
  const device = first.fleet.entity(first.type, id);
  const x = await device.ask({ allocate: { dtype: 'float32', length: 3 } });
  const y = await device.ask({ allocate: { dtype: 'float32', length: 3 } });
  await device.ask({ copyIn: { buffer: x, data: bytes(1, 2, 3) } });
  await device.ask({ launch: { kernel: 'axpy', alpha: 2, x, y } });
  const result = await device.ask({ copyOut: { buffer: y } });
  show(`${id}: shard ${device.shard} on ${x.device}: ${new Float32Array(result.slice().buffer)}`);
  return { device, x };
}

const ids = ['red', 'green', 'blue', 'grey', 'pink', 'teal'];
const [red] = await Promise.all(ids.map(double));

show('node-0 hands its shards over');
await first.fleet.sharding.drain(10_000);
await Promise.all(ids.map(double));
// Shards move, buffers do not: a name from before is refused, from wherever it is asked.
const refused = await red?.device.ask({ copyOut: { buffer: red.x } }).catch((error) => error);
show(`the buffer of before: ${hasCode(refused) ? refused.message : 'still there'}`);

await second.fleet.stop();
await first.fleet.stop();
await Promise.all([first.devices.stop(), second.devices.stop()]);
await rm(folder, { recursive: true });
