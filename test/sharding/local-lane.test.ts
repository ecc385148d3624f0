// Messages of a node to itself: in order, some in each turn of the event loop, not without bound.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { LOCAL_PER_TURN, LOCAL_WAITING } from '../../src/sharding/defaults.ts';
import { LocalLane } from '../../src/sharding/local-lane.ts';
import type { Incoming } from '../../src/sharding/outgoing.ts';
import type { ShardHost } from '../../src/sharding/shard-host.ts';

/** Takes what arrives; `onDeliver` may send more. */
class Scene {
  readonly lane = new LocalLane();
  readonly arrived: number[] = [];
  readonly failed: unknown[] = [];
  onDeliver: (number: number) => void = () => {};
  readonly #host = {
    deliver: ({ argument }: Incoming) => {
      this.arrived.push(argument as number);
      this.onDeliver(argument as number);
    },
  } as unknown as ShardHost;

  send(argument: number): void {
    const fail = (error: unknown) => this.failed.push(error);
    this.lane.send(this.#host, { id: 'x', shard: 0, argument, fail } as unknown as Incoming);
  }
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

test('the first are there at once, the others turn by turn, all in order', async () => {
  const scene = new Scene();
  const count = 3 * LOCAL_PER_TURN;
  for (const i of upTo(count)) scene.send(i);
  assert.deepEqual(scene.arrived, upTo(LOCAL_PER_TURN));
  await turn();
  // What is sent meanwhile does not pass those that wait.
  scene.send(count);
  while (scene.arrived.length <= count) await turn();
  assert.deepEqual(scene.arrived, upTo(count + 1));
});

test('a chain of messages, each sent by the last, leaves the event loop its turns', async () => {
  const scene = new Scene();
  const count = 10 * LOCAL_PER_TURN;
  scene.onDeliver = (i) => {
    if (i + 1 < count) scene.send(i + 1);
  };
  scene.send(0);
  let turns = 0;
  while (scene.arrived.length < count) {
    await turn();
    turns++;
  }
  assert.deepEqual(scene.arrived, upTo(count));
  assert.ok(turns >= 9, `${turns} turns`);
});

test('more than there is room for fail with their limit, and the others arrive', async () => {
  const scene = new Scene();
  const room = LOCAL_PER_TURN + LOCAL_WAITING;
  for (const i of upTo(room + 10)) scene.send(i);
  assert.equal(scene.failed.length, 10);
  assert.equal((scene.failed[0] as { code: string }).code, 'buffer_full');
  while (scene.arrived.length < room) await turn();
  await turn();
  assert.deepEqual(scene.arrived, upTo(room));
});
