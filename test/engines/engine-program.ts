// What the tests start as an engine's process: the simulated engine, or one that behaves badly.
// Usage: engine-program.ts PORT [deaf | mute | broken | MODEL ...]
import { systemClock } from '../../src/core/index.ts';
import { startSimulatedEngine } from '../../src/engines/index.ts';

const [port, behaviour = 'simulated', ...models] = process.argv.slice(2);

if (behaviour === 'broken') {
  process.stdout.write('reading the model\n');
  process.stderr.write('error: the model has 7 layers too many\n');
  process.exitCode = 3;
} else if (behaviour === 'mute') {
  // Runs, and never listens.
  setInterval(() => {}, 1_000);
} else {
  if (behaviour === 'deaf') process.on('SIGTERM', () => {});
  const options = { port: Number(port), models: [behaviour, ...models], speed: 50 };
  await startSimulatedEngine({ clock: systemClock }, options);
}
