// `node test/sharding/sim/main.ts SEED [MUTATION]` replays one history, line by line on stderr;
// `… FROM..TO [MUTATION]` runs many and tells what broke.
import { simulate } from './simulation.ts';
import type { Mutation } from './plan.ts';

const [seeds = '', mutation] = process.argv.slice(2);
const [first = '', last] = seeds.split('..');
const say = (text: string) => void process.stderr.write(`${text}\n`);

if (last === undefined) {
  const onLine = (line: string) => say(line);
  const options = { seed: Number(first), mutation: mutation as Mutation, onLine };
  const { violation, report, hash, counters } = await simulate(options);
  say(JSON.stringify(counters));
  if (violation !== undefined) say(report);
  process.stdout.write(`${hash}\n`);
  process.exitCode = violation === undefined ? 0 : 1;
} else {
  const totals: Record<string, number> = {};
  const startedMs = performance.now();
  let failures = 0;
  for (let seed = Number(first); seed <= Number(last); seed++) {
    const { violation, counters } = await simulate({ seed, mutation: mutation as Mutation });
    for (const [name, value] of Object.entries(counters))
      totals[name] = (totals[name] ?? 0) + value;
    if (violation !== undefined) {
      failures++;
      say(`seed ${seed}: ${violation.invariant}: ${violation.details.slice(0, 300)}`);
    }
    if (failures >= 10) break;
  }
  const seconds = (performance.now() - startedMs) / 1000;
  say(`${JSON.stringify(totals)} in ${Math.round(seconds)} s`);
  process.stdout.write(`${failures} failures\n`);
  process.exitCode = failures === 0 ? 0 : 1;
}
