// An owner that cannot be reached: what is sent to it waits at its sender, in order, and goes to
// whoever owns the shard next. Calls go out for as long as anything waits, and no longer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlotillaError } from '../../src/core/index.ts';
import { Outgoing } from '../../src/sharding/outgoing.ts';
import { OwnershipView, sessionKey, tableKey } from '../../src/sharding/ownership-view.ts';
import { Reach } from '../../src/sharding/reach.ts';
import { Region } from '../../src/sharding/region.ts';
import { encodeTable } from '../../src/sharding/shard-table.ts';
import { SimulatedClock } from '../../src/testing/index.ts';

/** Lets promises that are due settle. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

class Scene {
  readonly clock = new SimulatedClock();
  calls = 0;
  answers = false;
  needed = true;
  backs = 0;
  readonly reach = new Reach({
    host: {
      call: async () => {
        this.calls++;
        if (this.answers) return { body: {} };
        throw new FlotillaError('peer_unreachable', 'refused');
      },
    },
    clock: this.clock,
    needed: () => this.needed,
    onBack: () => {
      this.backs++;
    },
  });

  async pass(ms: number): Promise<void> {
    for (let i = 0; i < ms; i += 50) {
      await settle();
      this.clock.advance(50);
    }
    await settle();
  }
}

test('an owner is called until it answers, once at a time', async () => {
  const scene = new Scene();
  scene.reach.failed('a');
  scene.reach.failed('a');
  assert.ok(scene.reach.isAway('a'));
  assert.ok(!scene.reach.isAway('b'));
  await scene.pass(1_000);
  assert.ok(scene.calls >= 5 && scene.calls <= 12, String(scene.calls));
  assert.equal(scene.backs, 0);
  scene.answers = true;
  await scene.pass(200);
  assert.ok(!scene.reach.isAway('a'));
  assert.equal(scene.backs, 1);
});

test('nobody is called when nothing waits, nor after the end', async () => {
  const scene = new Scene();
  scene.reach.failed('a');
  await scene.pass(200);
  scene.needed = false;
  await scene.pass(200);
  const { calls } = scene;
  await scene.pass(1_000);
  assert.equal(scene.calls, calls);
  // The next message tries for itself.
  assert.ok(!scene.reach.isAway('a'));
  scene.needed = true;
  scene.reach.failed('a');
  scene.reach.stop();
  await scene.pass(1_000);
  assert.ok(scene.calls <= calls + 1);
});

test('what waited for a node that is gone reaches the next owner in order', () => {
  const view = new OwnershipView();
  const put = (key: string, value: Uint8Array, revision: number) =>
    view.apply({ type: 'put', key, value, revision });
  const own = (owner: string, session: number, epoch: number, revision: number) =>
    put(tableKey('t'), encodeTable([{ owner, session, epoch }]), revision);
  put(sessionKey('a'), Buffer.from('{}'), 1);
  put(sessionKey('b'), Buffer.from('{}'), 2);
  own('a', 1, 1, 3);
  const away = new Set(['a']);
  const sent: string[] = [];
  const outcomes: unknown[] = [];
  const region: Region = new Region(
    {
      type: 't',
      view,
      actions: {
        now: () => 0,
        send: (owner, message) => {
          if (away.has(owner)) region.unsent(message);
          else sent.push(`${message.argument} to ${owner}`);
        },
        ended: () => {},
      },
    },
    { shardBuffer: 100, regionBuffer: 100, resendMs: 100 },
  );
  const send = (argument: number) => {
    const content = { shard: 0, id: 'x', handler: 'h', argument, deadlineMs: 1e9 };
    const settled = (outcome: unknown) => void outcomes.push(outcome);
    region.send(new Outgoing(region, content, { resolve: settled, reject: settled }));
  };
  for (let i = 0; i < 3; i++) send(i);
  assert.deepEqual(sent, []);
  away.clear();
  region.reachable();
  assert.deepEqual(sent.splice(0), ['0 to a', '1 to a', '2 to a']);
  // Those three are in doubt when their node ends; these three are not.
  away.add('a');
  for (let i = 3; i < 6; i++) send(i);
  view.apply({ type: 'delete', key: sessionKey('a'), revision: 4 });
  region.changed();
  own('b', 2, 2, 5);
  region.changed();
  assert.deepEqual(sent, ['3 to b', '4 to b', '5 to b']);
  assert.deepEqual(outcomes, []);
});
