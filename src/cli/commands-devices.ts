// `flotilla devices`: what computes in the fleet, how busy it is, and what is missing and why.
import { FleetClient } from './fleet-client.ts';
import { formatBytes, formatCount, formatTable, plural } from './text.ts';
import type { DeviceInfo, DeviceListing } from '../node/index.ts';
import type { ClientFlags } from './commands-client.ts';
import type { CliContext } from './context.ts';

interface DevicesBody extends DeviceListing {
  readonly self: string;
}

const HEADING = [
  ...['device', 'node', 'backend', 'state', 'queued', 'memory', 'busy', 'launches', 'faults'],
];

export async function runDevices(
  { out }: CliContext,
  node: string | undefined,
  flags: ClientFlags,
): Promise<void> {
  const body = await new FleetClient(flags.url).get<DevicesBody>('/cluster/devices');
  const isMeant = (name: string) => node === undefined || name === node;
  const devices = body.devices.filter((device) => isMeant(device.node));
  const silent = body.silent.filter(isMeant);
  if (flags.json) {
    out.line(JSON.stringify({ ...body, devices, silent }));
    return;
  }
  if (devices.length > 0) {
    const [first = '', ...lines] = formatTable([HEADING, ...devices.map(rowOf)]);
    out.line(out.style('bold', first));
    lines.forEach((line, at) => {
      out.line(devices[at]?.state === 'dead' ? out.style('bad', line) : line);
    });
    const nodes = new Set(devices.map((device) => device.node)).size;
    out.line(`${plural(devices.length, 'device')} of ${plural(nodes, 'node')}`);
  } else {
    out.line(node === undefined ? 'no node has a device' : `${node} has no device`);
  }
  for (const { address, reason } of devices) {
    if (reason !== undefined) out.line(out.style('bad', `${address}: ${reason}`));
  }
  for (const name of silent) out.line(out.style('bad', `${name} does not answer`));
}

function rowOf(device: DeviceInfo): string[] {
  const { address, node, backend, state, queued, utilization, launches, faults } = device;
  const { memoryUsed, memoryMax } = device;
  const isOpen = memoryMax > 0;
  return [
    ...[address, node, backend, state === 'new' ? 'not in use' : state, formatCount(queued)],
    isOpen ? `${formatBytes(memoryUsed)} of ${formatBytes(memoryMax)}` : '-',
    isOpen ? `${Math.round(utilization * 100)} %` : '-',
    ...[formatCount(launches), formatCount(faults)],
  ];
}
