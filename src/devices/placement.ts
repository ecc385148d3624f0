// Which device a piece of work goes to: a policy over the devices that fit its hints, by figures
// that are fresh; and which device of a node serves a shard that the node owns. Pure: it is given
// the records and the time.
import { createPrng, FlotillaError, invalidOption } from '../core/index.ts';
import { MAX_NAMED_DEVICES, STALE_AFTER_MS } from './defaults.ts';
import type { BackendKind } from './backend.ts';
import type { DeviceStats } from './stats.ts';

export type PlacementPolicy = 'round-robin' | 'least-loaded';

export const PLACEMENT_POLICIES: readonly PlacementPolicy[] = ['round-robin', 'least-loaded'];

/** What the device must have. What is absent does not matter. */
export interface PlacementHints {
  /** Memory that buffers do not take. */
  readonly minFreeBytes?: number;
  readonly backend?: BackendKind;
  /** All of them: `shader-f16`, `threads-4`. */
  readonly capabilities?: readonly string[];
}

export interface PlacementOptions {
  /**
   * `round-robin` takes turns; `least-loaded` takes the fewest commands that wait and run.
   * @default 'least-loaded'
   */
  readonly policy?: PlacementPolicy;
  /** Age from which a record says nothing: its device is left out. @default 1 000 */
  readonly staleAfterMs?: number;
}

/** Picks of a device that its record does not show yet. */
interface Recent {
  sampledAtMs: number;
  picks: number;
}

/**
 * The record of the device that serves a shard at this node: the one with the highest weight for
 * it, so that a device that comes takes its share and no more, one that goes moves only its own,
 * and a restart changes nothing (rendezvous hashing; Thaler and Ravishankar, 1998). A device whose
 * context is being rebuilt keeps its shards. Raises `no_eligible_device`.
 */
export function deviceOfShard<S extends DeviceStats>(
  shard: number,
  devices: readonly S[],
  hints: PlacementHints = {},
): S {
  let best: S | undefined;
  let most = -1;
  for (const device of devices) {
    if (!servesShards(device, hints)) continue;
    const weight = shardWeight(shard, device.address);
    if (weight > most) {
      most = weight;
      best = device;
    }
  }
  if (best !== undefined) return best;
  throw noneEligible(devices, hints, (device) => lacks(device, hints) || condition(device));
}

/** Whether shards may live on the device, by what does not change with its load. */
export function servesShards(device: DeviceStats, hints: PlacementHints): boolean {
  return device.state !== 'dead' && device.state !== 'stopped' && lacks(device, hints) === '';
}

/**
 * How much a device wants a shard: of those that there are the one with the highest weight has it.
 * 32 bits of both: FNV-1a of the address, mixed by the generator's seeding.
 */
export function shardWeight(shard: number, address: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < address.length; i++) {
    hash = Math.imul(hash ^ address.charCodeAt(i), 0x01000193);
  }
  return createPrng(shard, hash).uint32();
}

/** What a device never has, whatever its load; empty when nothing is lacking. */
function lacks(device: DeviceStats, { backend, capabilities }: PlacementHints): string {
  if (backend !== undefined && device.backend !== backend) return `is a ${device.backend} device`;
  const lacking = capabilities?.filter((name) => !device.capabilities.includes(name)) ?? [];
  return lacking.length === 0 ? '' : `lacks ${lacking.join(', ')}`;
}

function condition({ state, reason }: DeviceStats): string {
  return reason === undefined ? `is ${state}` : `is ${state} (${reason})`;
}

function noneEligible<S extends DeviceStats>(
  devices: readonly S[],
  hints: PlacementHints,
  reasonAgainst: (device: S) => string,
): FlotillaError {
  const asked = JSON.stringify(hints);
  const reasons = devices
    .slice(0, MAX_NAMED_DEVICES)
    .map((device) => `${device.address} ${reasonAgainst(device)}`);
  const more = devices.length - reasons.length;
  if (more > 0) reasons.push(`and ${more} more`);
  const there = reasons.length === 0 ? 'there are no devices' : reasons.join('; ');
  return new FlotillaError('no_eligible_device', `no device fits ${asked}: ${there}`, {
    details: { asked, devices: reasons },
  });
}

/** One chooser; it remembers whose turn it is, and what it chose since each record. */
export class Placement {
  readonly #policy: PlacementPolicy;
  readonly #staleAfterMs: number;
  readonly #recent = new Map<string, Recent>();
  #last = '';

  constructor(options: PlacementOptions = {}) {
    const { policy = 'least-loaded', staleAfterMs = STALE_AFTER_MS } = options;
    if (!PLACEMENT_POLICIES.includes(policy)) {
      throw invalidOption('policy', `one of ${PLACEMENT_POLICIES.join(', ')}`, policy);
    }
    if (!(staleAfterMs > 0)) throw invalidOption('staleAfterMs', 'positive', staleAfterMs);
    this.#policy = policy;
    this.#staleAfterMs = staleAfterMs;
  }

  /** The record of the device to use. Raises `no_eligible_device`. */
  pick<S extends DeviceStats>(devices: readonly S[], hints: PlacementHints, nowMs: number): S {
    const eligible = devices.filter((device) => this.#reasonAgainst(device, hints, nowMs) === '');
    if (eligible.length === 0) {
      throw noneEligible(devices, hints, (device) => this.#reasonAgainst(device, hints, nowMs));
    }
    this.#forget(devices);
    const chosen = this.#choose(eligible);
    this.#last = chosen.address;
    this.#recentOf(chosen).picks++;
    return chosen;
  }

  #choose<S extends DeviceStats>(eligible: S[]): S {
    const least = Math.min(...eligible.map((device) => this.#loadOf(device)));
    const best = eligible
      .filter((device) => this.#policy === 'round-robin' || this.#loadOf(device) === least)
      .sort((a, b) => (a.address < b.address ? -1 : 1));
    // The next after the last one, by name: a device that comes or goes shifts nobody's turn.
    return best.find(({ address }) => address > this.#last) ?? best[0]!;
  }

  /** Waiting, running, and chosen since the record was taken: else all would choose the same. */
  #loadOf(device: DeviceStats): number {
    return device.queued + device.active + this.#recentOf(device).picks;
  }

  #recentOf({ address, sampledAtMs }: DeviceStats): Recent {
    let recent = this.#recent.get(address);
    if (recent === undefined || recent.sampledAtMs !== sampledAtMs) {
      recent = { sampledAtMs, picks: 0 };
      this.#recent.set(address, recent);
    }
    return recent;
  }

  #forget(devices: readonly DeviceStats[]): void {
    if (this.#recent.size <= devices.length) return;
    const known = new Set(devices.map(({ address }) => address));
    for (const address of this.#recent.keys()) {
      if (!known.has(address)) this.#recent.delete(address);
    }
  }

  /** Why a device is left out; empty when it is not. */
  #reasonAgainst(device: DeviceStats, hints: PlacementHints, nowMs: number): string {
    const { state, memoryMax, memoryUsed, sampledAtMs } = device;
    if (state !== 'ready') return condition(device);
    const age = nowMs - sampledAtMs;
    if (!(age <= this.#staleAfterMs)) return `was last heard of ${Math.round(age)} ms ago`;
    const lack = lacks(device, hints);
    if (lack !== '') return lack;
    const free = memoryMax - memoryUsed;
    if (!(free >= (hints.minFreeBytes ?? 0))) return `has ${free} bytes free`;
    return '';
  }
}
