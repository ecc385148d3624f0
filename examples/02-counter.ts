// Counters on a fleet of three nodes: each lives on one of them, and survives it. For the sake of the
// example the nodes share a process; elsewhere each machine runs the same few lines.
//   node examples/02-counter.ts
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { defineEntity, Fleet } from '../src/node/index.ts';

const Counter = defineEntity({
  name: 'counter',
  shards: 32,
  durable: true,
  initial: () => ({ value: 0 }),
  handlers: {
    add: (state, amount: number) => {
      state.value += amount;
      return state.value;
    },
    where: (_state, _argument: undefined, { node, shard, epoch }) =>
      `${node}, shard ${shard} at epoch ${epoch}`,
  },
});

const USERS = ['ada', 'grace', 'edsger', 'barbara', 'alan', 'leslie'];
const folder = mkdtempSync(path.join(os.tmpdir(), 'flotilla-counter-'));
const say = (line: string) => void process.stdout.write(`${line}\n`);
const shared = { http: false, listen: { host: '127.0.0.1', port: 0 }, log: 'silent' } as const;
const optionsOf = (name: string) => ({ ...shared, name, dataDir: path.join(folder, name) });

const cli = path.join(import.meta.dirname, '../src/cli/main.ts');
const newToken = () =>
  execFileSync(process.execPath, [cli, 'token', '--data-dir', path.join(folder, 'node-0')], {
    encoding: 'utf8',
    stdio: 'pipe',
  }).trim();

const founder = await Fleet.found(optionsOf('node-0'));
const fleets = [founder];
for (const name of ['node-1', 'node-2']) {
  const token = newToken();
  fleets.push(await Fleet.join({ ...optionsOf(name), seeds: [founder.address], token }));
}
for (const fleet of fleets) fleet.host(Counter);
say('three nodes share out 32 shards, a tenth of them at a time');
// Within seconds each has its third of the shards.
const shardsOf = async (node: string) =>
  (await founder.sharding.describe()).filter(({ owner }) => owner === node).length;
while ((await shardsOf('node-2')) < 10 || (await shardsOf('node-1')) < 10) await setTimeout(100);

for (const user of USERS) {
  const counter = founder.entity(Counter, user);
  await counter.ask({ add: 1 });
  const value = await counter.ask({ add: 41 });
  say(`${user}: ${value} on ${await counter.ask('where')}`);
}

const [, , last] = fleets;
await last!.leave();
say('node-2 has left');
for (const user of USERS) {
  const counter = founder.entity(Counter, user);
  say(`${user}: ${await counter.ask({ add: 0 })} on ${await counter.ask('where')}`);
}

for (const fleet of fleets.slice(0, 2).reverse()) await fleet.stop();
rmSync(folder, { recursive: true, force: true });
