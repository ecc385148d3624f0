// One real node as a process, for `real.ts`: founds or joins when its parent says so, and tells
// whom it holds for healthy, with times of the machine's monotonic clock.
import { Fleet } from '../../src/node/index.ts';
import type { NodeConfigInput } from '../../src/node/index.ts';

export interface Go {
  readonly found: boolean;
  readonly config: NodeConfigInput;
}

export type Said =
  | { readonly type: 'loaded' | 'stopped' }
  | { readonly type: 'in'; readonly address: string; readonly at: number }
  | { readonly type: 'sees'; readonly healthy: readonly string[]; readonly at: number };

const LOOK_EVERY_MS = 5;

const now = () => Number(process.hrtime.bigint()) / 1e6;
const say = (said: Said) => void process.send?.(said);

let fleet: Fleet | undefined;

process.on('message', async (go: Go) => {
  const started = await (go.found ? Fleet.found(go.config) : Fleet.join(go.config));
  fleet = started;
  say({ type: 'in', address: started.address, at: now() });
  let seen = -1;
  setInterval(() => {
    const { registry } = started.coordinator;
    if (registry.version === seen) return;
    seen = registry.version;
    say({ type: 'sees', healthy: registry.healthyNodes().map(({ id }) => id), at: now() });
  }, LOOK_EVERY_MS);
});
process.on('SIGTERM', async () => {
  await fleet?.stop();
  process.send?.({ type: 'stopped' } satisfies Said, () => process.exit());
});
process.on('disconnect', () => process.exit());
say({ type: 'loaded' });
