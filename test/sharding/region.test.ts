// The sender's end by itself, against any sequence of what can happen to it: messages leave in
// order, none leaves twice at one epoch, each ends once, and buffers stay within their bounds.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Outgoing } from '../../src/sharding/outgoing.ts';
import { OwnershipView, sessionKey, tableKey } from '../../src/sharding/ownership-view.ts';
import { Region } from '../../src/sharding/region.ts';
import { encodeTable } from '../../src/sharding/shard-table.ts';
import type { ShardEntry } from '../../src/sharding/shard-table.ts';

const SHARD_BUFFER = 6;
const EMPTY = Buffer.from('{}');

/** One shard, two owners, and everything on its way to them. */
class Scene {
  readonly view = new OwnershipView();
  readonly onWay: { readonly message: Outgoing; readonly epoch: number }[] = [];
  readonly all: { readonly message: Outgoing; outcomes: number }[] = [];
  /** Handled, in order. */
  readonly handled: Outgoing[] = [];
  readonly region: Region;
  nowMs = 0;
  readonly #sessions = new Map<string, number>();
  #revision = 10;
  #entry: ShardEntry = { owner: 'a', session: 1, epoch: 1 };
  /** The epoch up to which messages are refused. */
  #frozen = 0;

  constructor() {
    for (const [index, node] of ['a', 'b'].entries()) {
      const revision = index + 1;
      this.view.apply({ type: 'put', key: sessionKey(node), value: EMPTY, revision });
      this.#sessions.set(node, revision);
    }
    this.region = new Region(
      {
        type: 't',
        view: this.view,
        actions: {
          now: () => this.nowMs,
          send: (_, message) => this.onWay.push({ message, epoch: message.epoch }),
          ended: () => {},
        },
      },
      { shardBuffer: SHARD_BUFFER, regionBuffer: 100, resendMs: 10 },
    );
    this.#tell();
  }

  send(): void {
    const record = { outcomes: 0 };
    const count = () => {
      record.outcomes++;
    };
    const content = { shard: 0, id: 'x', handler: 'h', argument: 0, deadlineMs: 1e9 };
    const message = new Outgoing(this.region, content, { resolve: count, reject: count });
    this.all.push(Object.assign(record, { message }));
    this.region.send(message);
  }

  /** The first on its way arrives: it is handled, or refused if its epoch is over. */
  arrive(): void {
    const first = this.onWay.shift();
    if (first === undefined) return;
    if (first.epoch <= this.#frozen || first.epoch < this.#entry.epoch) {
      first.message.refuse();
      return;
    }
    this.handled.push(first.message);
    first.message.answer('done');
  }

  /** What is on its way comes back: its owner cannot be reached. */
  unreachable(): void {
    for (const { message } of this.onWay.splice(0)) this.region.unsent(message);
  }

  /** One that could not be sent comes back after others have got through. */
  unreachableOne(index: number): void {
    const [one] = this.onWay.splice(index % Math.max(1, this.onWay.length), 1);
    if (one !== undefined) this.region.unsent(one.message);
  }

  /** The owner's node is gone; some of what was on its way had been handled, unheard. */
  vanish(index: number): void {
    const { owner, epoch } = this.#entry;
    const heard = this.onWay.splice(0).slice(0, index % 5);
    for (const { message, epoch: at } of heard) {
      if (at > this.#frozen && at >= epoch) this.handled.push(message);
    }
    const key = sessionKey(owner);
    this.view.apply({ type: 'delete', key, revision: ++this.#revision });
    this.region.changed();
    this.view.apply({ type: 'put', key, value: EMPTY, revision: ++this.#revision });
    const session = this.#revision;
    this.#sessions.set(owner, session);
    this.#frozen = epoch;
    this.#entry = { owner, session, epoch: epoch + 1 };
    this.#tell();
  }

  expire(index: number): void {
    this.all[index % Math.max(1, this.all.length)]?.message.expire();
  }

  freeze(): void {
    this.#frozen = this.#entry.epoch;
  }

  move(): void {
    const { owner, epoch } = this.#entry;
    const to = owner === 'a' ? 'b' : 'a';
    this.#frozen = epoch;
    this.#entry = { owner: to, session: this.#sessions.get(to)!, epoch: epoch + 1 };
    this.#tell();
  }

  tick(): void {
    this.nowMs += 20;
    this.region.tick();
  }

  #tell(): void {
    const value = encodeTable([this.#entry]);
    const revision = ++this.#revision;
    this.view.apply({ type: 'put', key: tableKey('t'), value, revision });
    this.region.changed();
  }
}

type Step = readonly [keyof typeof STEPS, number];

const STEPS = {
  send: (scene: Scene) => scene.send(),
  arrive: (scene: Scene) => scene.arrive(),
  freeze: (scene: Scene) => scene.freeze(),
  move: (scene: Scene) => scene.move(),
  tick: (scene: Scene) => scene.tick(),
  unreachable: (scene: Scene) => scene.unreachable(),
  unreachableOne: (scene: Scene, index: number) => scene.unreachableOne(index),
  vanish: (scene: Scene, index: number) => scene.vanish(index),
  expire: (scene: Scene, index: number) => scene.expire(index),
};

const steps = fc.array(
  fc.tuple(
    fc.constantFrom<keyof typeof STEPS>(
      ...(['send', 'send', 'send', 'arrive', 'arrive', 'freeze'] as const),
      ...(['move', 'tick', 'unreachable', 'unreachableOne', 'vanish', 'expire'] as const),
    ),
    fc.nat(50),
  ),
  { maxLength: 120, size: 'max' },
);

function check(scene: Scene): void {
  const places = scene.handled.map((message) => scene.all.findIndex((r) => r.message === message));
  assert.deepEqual(
    places,
    [...places].sort((a, b) => a - b),
    'handled in the order in which they were sent',
  );
  assert.equal(new Set(places).size, places.length, 'handled once');
  assert.ok(scene.all.every(({ outcomes }) => outcomes <= 1));
  assert.ok(scene.region.waiting >= 0 && scene.region.waiting <= SHARD_BUFFER + scene.all.length);
}

test('whatever happens, messages of a shard keep their order and end once', () => {
  fc.assert(
    fc.property(steps, (run: readonly Step[]) => {
      const scene = new Scene();
      for (const [name, index] of run) {
        STEPS[name](scene, index);
        check(scene);
      }
      // In the end, with an owner that answers, everything has an outcome.
      scene.move();
      for (let i = 0; i < 500; i++) {
        scene.tick();
        scene.arrive();
      }
      // Those that were lost with their owner end by their deadline.
      for (const { message } of scene.all) message.expire();
      check(scene);
      assert.ok(scene.all.every(({ outcomes }) => outcomes === 1));
      assert.equal(scene.region.waiting, 0);
    }),
    { numRuns: 8_000 },
  );
});

test('one that could not be sent ends when a later one may have got through', () => {
  const scene = new Scene();
  scene.send();
  scene.send();
  scene.unreachableOne(0);
  scene.vanish(1);
  for (let i = 0; i < 5; i++) {
    scene.tick();
    scene.arrive();
  }
  check(scene);
  assert.equal(scene.all[0]?.outcomes, 1);
});

test('one that expires while it comes back does not let others pass', () => {
  const scene = new Scene();
  scene.freeze();
  scene.send();
  scene.send();
  scene.arrive();
  scene.expire(0);
  scene.arrive();
  scene.send();
  scene.send();
  scene.move();
  for (let i = 0; i < 5; i++) scene.arrive();
  check(scene);
  assert.equal(scene.handled.length, 3);
});

test('a full buffer takes no more, and tells so at once', () => {
  const scene = new Scene();
  scene.freeze();
  scene.send();
  scene.arrive();
  for (let i = 0; i < SHARD_BUFFER + 3; i++) scene.send();
  assert.equal(scene.region.overflows, 4);
  assert.equal(scene.all.filter(({ outcomes }) => outcomes === 1).length, 4);
});
