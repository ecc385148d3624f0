// Prometheus metrics of what lives on this node: shards with their entities, and devices. The parts
// count by themselves; they are read when somebody asks.
import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { DeviceSample } from '../devices/index.ts';
import type { ShardingMetrics, TypeMetrics } from '../sharding/index.ts';

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

/** A metric whose samples are made when it is read. */
interface Read {
  readonly kind: typeof Counter | typeof Gauge;
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly samples: () => Iterable<Sample>;
}

function add(registry: Registry, { kind: Kind, name, help, labelNames, samples }: Read): void {
  new Kind({
    ...{ name, help, labelNames: [...labelNames], registers: [registry] },
    collect() {
      this.reset();
      for (const [labels, value] of samples()) this.inc(labels, value);
    },
  });
}

const TYPE_TOTALS = [
  ['answered', 'flotilla_entity_messages_answered_total', 'Messages that an entity here answered.'],
  ['failed', 'flotilla_entity_messages_failed_total', 'Messages that an entity here failed at.'],
  ['overflows', 'flotilla_entity_messages_refused_total', 'Messages for want of room not taken.'],
  ['handedOver', 'flotilla_shards_handed_over_total', 'Shards that went to other nodes.'],
] as const satisfies readonly (readonly [keyof TypeMetrics, string, string])[];

const TYPE_GAUGES = [
  ['entities', 'flotilla_entities', 'Entities in the memory of this node.'],
  ['waiting', 'flotilla_entity_messages_waiting', 'Messages that wait for the owner of a shard.'],
] as const satisfies readonly (readonly [keyof TypeMetrics, string, string])[];

export function addShardMetrics(registry: Registry, read: () => ShardingMetrics): void {
  const ofTypes = (value: (metrics: TypeMetrics) => number) => () =>
    read().types.map((metrics): Sample => [{ type: metrics.type }, value(metrics)]);
  const labelNames = ['type'];
  for (const [field, name, help] of TYPE_TOTALS) {
    const samples = ofTypes((metrics) => metrics[field]);
    add(registry, { kind: Counter, name, help, labelNames, samples });
  }
  for (const [field, name, help] of TYPE_GAUGES) {
    const samples = ofTypes((metrics) => metrics[field]);
    add(registry, { kind: Gauge, name, help, labelNames, samples });
  }
  add(registry, {
    kind: Gauge,
    name: 'flotilla_shards',
    help: 'Shards of this node, by how far they are.',
    labelNames: ['type', 'phase'],
    samples: () =>
      read().types.flatMap(({ type, shards }) =>
        Object.entries(shards).map(([phase, count]): Sample => [{ type, phase }, count]),
      ),
  });
  add(registry, {
    kind: Counter,
    name: 'flotilla_tells_lost_total',
    help: 'Messages without an answer that were lost.',
    labelNames: [],
    samples: () => [[{}, read().lostTells]],
  });
  add(registry, {
    kind: Gauge,
    name: 'flotilla_shard_coordinator',
    help: '1 while this node decides who owns which shard.',
    labelNames: [],
    samples: () => [[{}, read().coordinates ? 1 : 0]],
  });
}

const DEVICE_METRICS = [
  [Gauge, 'queued', 'flotilla_device_queued', 'Commands that wait for the device.'],
  [Gauge, 'memoryUsed', 'flotilla_device_memory_used_bytes', 'What buffers of the device take.'],
  [Gauge, 'memoryMax', 'flotilla_device_memory_bytes', 'What buffers of the device may take.'],
  [Gauge, 'utilization', 'flotilla_device_busy_ratio', 'How busy the device was, 0 to 1.'],
  [Counter, 'launches', 'flotilla_device_launches_total', 'Kernels that ran on the device.'],
  [Counter, 'faults', 'flotilla_device_faults_total', 'Contexts that the device has lost.'],
] as const satisfies readonly (readonly [Read['kind'], keyof DeviceSample, string, string])[];

/** Of devices that somebody has used: the others are not open. */
export function addDeviceMetrics(registry: Registry, read: () => readonly DeviceSample[]): void {
  for (const [kind, field, name, help] of DEVICE_METRICS) {
    const samples = () =>
      read()
        .filter(({ state }) => state !== 'new')
        .map(
          (device): Sample => [{ device: device.address, backend: device.backend }, device[field]],
        );
    add(registry, { kind, name, help, labelNames: ['device', 'backend'], samples });
  }
}
