// A process that hangs for 10 s, as three real ones see it: it is dead for the others, whoever
// waits for it hears so, another takes over what it held, and it is back once it goes on.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/core/index.ts';
import { ClusterAuthority, createKeyAndCsr } from '../../src/identity/index.ts';
import { EpochFence } from '../../src/store/index.ts';
import { eventually, temporaryFolder } from './processes.ts';
import type { ChildProcess } from 'node:child_process';
import type { Credentials } from '../../src/identity/index.ts';
import type { Order, Report } from './holder-process.ts';

const PROGRAM = fileURLToPath(new URL('./holder-process.ts', import.meta.url));
const KEY = 'owner/a';
const TTL_MS = 2_000;
/** A holder stops relying on its term so long after it last renewed it. */
const FENCED_AFTER_MS = 0.6 * TTL_MS;
const PAUSE_MS = 10_000;

const now = () => Number(process.hrtime.bigint()) / 1e6;

const folder = temporaryFolder();
const holders: Holder[] = [];
after(async () => {
  await Promise.all(holders.map((holder) => holder.end()));
  folder.dispose();
});

interface Action {
  readonly name: string;
  readonly epoch: number;
  readonly at: number;
}

/** What the processes did with the key, in the order in which it arrived here. */
const actions: Action[] = [];

class Holder {
  readonly name: string;
  readonly child: ChildProcess;
  readonly reports: Report[] = [];
  /** What it holds the others for. */
  readonly sees = new Map<string, string>();

  constructor(name: string) {
    this.name = name;
    this.child = fork(PROGRAM);
    this.child.on('message', (report: Report) => {
      if (report.type === 'acts') actions.push({ name, epoch: report.epoch, at: report.at });
      else this.reports.push(report);
      if (report.type === 'sees') this.sees.set(report.name, report.status);
    });
  }

  order(order: Order): void {
    this.child.send(order);
  }

  /** The first report of a type, since `fromMs`. */
  async reported<T extends Report['type']>(
    type: T,
    accept: (report: Extract<Report, { type: T }>) => boolean = () => true,
  ): Promise<Extract<Report, { type: T }>> {
    const isIt = (report: Report): report is Extract<Report, { type: T }> =>
      report.type === type && accept(report as Extract<Report, { type: T }>);
    const found = await eventually(
      async () => this.reports.find(isIt),
      (report) => report !== undefined,
    );
    return found!;
  }

  async end(): Promise<void> {
    const gone = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await gone;
  }
}

async function startAll(names: readonly string[]): Promise<void> {
  const authority = await ClusterAuthority.open(path.join(folder.path, 'ca'), {
    clock: systemClock,
  });
  const seeds: string[] = [];
  for (const name of names) {
    const { privateKeyPem, csrPem } = await createKeyAndCsr(name);
    const certificatePem = await authority.issue(name, csrPem);
    const { caPem } = authority;
    const credentials: Credentials = { name, certificatePem, privateKeyPem, caPem };
    const holder = new Holder(name);
    holders.push(holder);
    const founds = seeds.length === 0 && { store: path.join(folder.path, 'store.sqlite') };
    const start = { credentials, seeds: [...seeds], key: KEY, ttlMs: TTL_MS, ...founds };
    holder.order({ type: 'start', start });
    const { address } = await holder.reported('started');
    if (seeds.length === 0) seeds.push(address);
  }
  await allUp();
}

async function allUp(): Promise<void> {
  await eventually(
    async () => holders.map(({ sees }) => Object.fromEntries(sees)),
    (views) => views.every((view) => holders.every(({ name }) => view[name] === 'up')),
  );
}

/** Waits until somebody else than `not` acts on the key; who it is. */
async function holderBut(not?: Holder): Promise<Action> {
  const found = await eventually(
    async () => actions.find(({ name }) => name !== not?.name),
    (action) => action !== undefined,
  );
  return found!;
}

test('a process that hangs for 10 s is dead meanwhile and harms nothing afterwards', async () => {
  await startAll(['node-0', 'node-1', 'node-2']);
  const [first, second, third] = holders as [Holder, Holder, Holder];
  second.order({ type: 'campaign' });
  const { epoch: earlier } = await holderBut();
  for (const other of [first, third]) other.order({ type: 'campaign' });
  first.order({ type: 'wait-for', name: 'node-1' });

  const stoppedAt = now();
  second.child.kill('SIGSTOP');
  for (const other of [first, third]) {
    await other.reported('sees', ({ name, status, at }) => {
      return name === 'node-1' && status === 'dead' && at > stoppedAt;
    });
  }
  // Who waited for it is told so now, and not at the deadline two minutes from here.
  const waited = await first.reported('waited');
  assert.equal(waited.code, 'peer_disconnected');
  assert.match(waited.message, /node-1 disconnected: it was found dead/);
  const taken = await holderBut(second);
  assert.ok(taken.epoch > earlier);
  assert.ok(now() - stoppedAt < PAUSE_MS, 'dead, told and taken over before it goes on');

  await delay(PAUSE_MS - (now() - stoppedAt));
  for (const { sees } of [first, third]) assert.equal(sees.get('node-1'), 'dead');
  second.child.kill('SIGCONT');
  await allUp();

  const late = actions.filter(({ name, epoch, at }) => {
    return name === 'node-1' && epoch === earlier && at > stoppedAt + FENCED_AFTER_MS;
  });
  assert.deepEqual(late, [], 'nothing is begun in a term that is over');
  const fence = new EpochFence();
  const owners = new Map<number, string>();
  for (const { name, epoch } of actions) {
    if (epoch < fence.current) continue;
    fence.admit(epoch);
    assert.equal(owners.get(epoch) ?? name, name, `two owners at epoch ${epoch}`);
    owners.set(epoch, name);
  }
});
