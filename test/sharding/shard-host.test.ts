// The owner's end by itself, where a whole fleet seldom gets: epochs that it never heard of, loads
// that fail, handlers that outlive its session.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packEntities } from '../../src/sharding/messages.ts';
import { OwnershipView, sessionKey, tableKey } from '../../src/sharding/ownership-view.ts';
import { ShardHost } from '../../src/sharding/shard-host.ts';
import { encodeTable } from '../../src/sharding/shard-table.ts';
import type { EntityRecord } from '../../src/sharding/entities.ts';
import type { EntityCell } from '../../src/sharding/entity-cell.ts';
import type { HostedShard } from '../../src/sharding/hosted-shard.ts';
import type { Incoming } from '../../src/sharding/outgoing.ts';
import type { ShardEntry } from '../../src/sharding/shard-table.ts';

const TYPE = 't';
const SESSION = 1;
const EMPTY = Buffer.from('{}');

interface Count {
  value: number;
}

class Message implements Incoming {
  readonly shard = 0;
  readonly id = 'x';
  readonly handler = 'add';
  readonly argument = undefined;
  readonly deadlineMs: number;
  readonly epoch: number;
  outcome: unknown;

  constructor(epoch: number, deadlineMs = Infinity) {
    this.epoch = epoch;
    this.deadlineMs = deadlineMs;
  }

  answer(reply: unknown): void {
    this.outcome = reply;
  }

  refuse(): void {
    this.outcome = 'refused';
  }

  fail(error: unknown): void {
    this.outcome = (error as { code: string }).code;
  }
}

/** One shard at node `a`. Handlers add one, at once or when they are told to. */
class Scene {
  readonly view = new OwnershipView();
  readonly host: ShardHost;
  readonly handed: (readonly EntityRecord[])[] = [];
  readonly released: number[] = [];
  readonly loading: EntityCell[] = [];
  readonly running: EntityCell[] = [];
  live = true;
  nowMs = 0;
  slow = false;
  #revision = 10;

  constructor(journaled = false) {
    this.view.apply({ type: 'put', key: sessionKey('a'), value: EMPTY, revision: SESSION });
    const actions = {
      now: () => this.nowMs,
      live: () => this.live,
      initial: (): Count => ({ value: 0 }),
      run: (cell: EntityCell) => {
        if (this.slow) this.running.push(cell);
        else this.end(cell);
      },
      load: (cell: EntityCell) => this.loading.push(cell),
      open: (shard: HostedShard) => this.host.opened(shard, shard.epoch, ['x']),
      hand: (_: HostedShard, __: unknown, entities: readonly EntityRecord[]) =>
        this.handed.push(structuredClone(entities)),
      release: ({ epoch }: HostedShard) => this.released.push(epoch),
    };
    const components = { type: TYPE, node: 'a', view: this.view, actions };
    this.host = new ShardHost(components, {
      ...{ journaled, remember: journaled, mailboxCapacity: 10, parkedMessages: 10 },
      ...{ stagedBytes: 1e6, stagePartBytes: 1e6, passivateAfterMs: Infinity, maxActive: Infinity },
    });
    this.host.session(SESSION);
  }

  table(entry: Partial<ShardEntry> & { readonly epoch: number }): void {
    const value = encodeTable([{ owner: 'a', session: SESSION, ...entry }]);
    this.view.apply({ type: 'put', key: tableKey(TYPE), value, revision: ++this.#revision });
    this.host.changed();
  }

  send(epoch: number, deadlineMs?: number): Message {
    const message = new Message(epoch, deadlineMs);
    this.host.deliver(message);
    return message;
  }

  end(cell: EntityCell): void {
    const state = cell.state as Count;
    this.host.entities.completed(cell, ++state.value);
  }
}

const MOVE = { node: 'b', session: 2 };

test('an owner that never let go keeps what it holds, though it missed epochs', () => {
  const scene = new Scene();
  scene.table({ epoch: 1 });
  assert.equal(scene.send(1).outcome, 1);
  scene.table({ epoch: 3 });
  assert.equal(scene.send(3).outcome, 2);
  scene.table({ epoch: 3, move: MOVE });
  assert.equal(scene.handed.length, 1);
  scene.table({ epoch: 6 });
  assert.equal(scene.send(6).outcome, 3);
});

test('one that let go begins anew after epochs that it missed: another may have had it', () => {
  const scene = new Scene();
  scene.table({ epoch: 1 });
  assert.equal(scene.send(1).outcome, 1);
  scene.table({ epoch: 1, move: MOVE });
  scene.host.handed(scene.host.shards.get(0)!, 1);
  assert.deepEqual(scene.released, [1]);
  scene.table({ epoch: 3 });
  assert.equal(scene.send(3).outcome, 1);
});

test('a handoff that is called off leaves all as it was', () => {
  const scene = new Scene();
  scene.table({ epoch: 1 });
  assert.equal(scene.send(1).outcome, 1);
  scene.table({ epoch: 1, move: MOVE });
  scene.host.handed(scene.host.shards.get(0)!, 1);
  scene.table({ epoch: 2 });
  assert.equal(scene.send(2).outcome, 2);
  // That it has the shard's last state is late news now.
  scene.host.handed(scene.host.shards.get(0)!, 1);
  assert.equal(scene.send(2).outcome, 3);
});

test('what was handed over for an epoch counts at that epoch only', () => {
  const stage = (scene: Scene) => {
    const [bytes] = packEntities([{ id: 'x', state: { value: 5 } }], 1e6, () => {});
    const part = { type: TYPE, shard: 0, epoch: 2, part: 0, isLast: true };
    scene.table({ owner: 'b', session: 2, epoch: 1, move: { node: 'a', session: SESSION } });
    scene.host.staging.add(part, bytes!, () => true);
    return scene;
  };
  const granted = stage(new Scene());
  granted.table({ epoch: 2 });
  assert.equal(granted.send(2).outcome, 6);
  // It was called off, `b` went on, and is gone: this is old.
  const recovered = stage(new Scene());
  recovered.table({ epoch: 3 });
  assert.equal(recovered.send(3).outcome, 1);
});

test('what runs is waited for and what waits goes back before a shard is handed over', () => {
  const scene = new Scene();
  scene.slow = true;
  scene.table({ epoch: 1 });
  const first = scene.send(1);
  const second = scene.send(1);
  scene.table({ epoch: 1, move: MOVE });
  assert.equal(second.outcome, 'refused');
  assert.equal(scene.send(1).outcome, 'refused');
  assert.deepEqual([first.outcome, scene.handed], [undefined, []]);
  scene.end(scene.running[0]!);
  assert.equal(first.outcome, 1);
  assert.deepEqual(scene.handed, [[{ id: 'x', state: { value: 1 } }]]);
  scene.host.handed(scene.host.shards.get(0)!, 1);
  // Until the table says that it was heard.
  scene.host.tick();
  assert.deepEqual(scene.released, [1, 1]);
});

test('messages that are ahead of the table wait for it, in their order', () => {
  const scene = new Scene();
  scene.table({ epoch: 1 });
  const early = [scene.send(3), scene.send(2), scene.send(3)];
  scene.table({ epoch: 3 });
  assert.deepEqual(
    early.map(({ outcome }) => outcome),
    [1, 'refused', 2],
  );
});

test('a handler that outlives the session of its node answers nobody', () => {
  const scene = new Scene();
  scene.slow = true;
  scene.table({ epoch: 1 });
  const message = scene.send(1);
  scene.live = false;
  scene.end(scene.running[0]!);
  assert.equal(message.outcome, 'outcome_unknown');
  assert.equal(scene.host.shards.size, 0);
});

test('what is remembered and cannot be loaded is tried again, also after a handoff', () => {
  const scene = new Scene(true);
  scene.table({ epoch: 1 });
  assert.equal(scene.loading.length, 1);
  scene.host.entities.loadFailed(scene.loading[0]!, new Error('away'));
  assert.equal(scene.host.entities.active, 0);
  scene.host.tick();
  assert.equal(scene.loading.length, 2);
  // A handoff finds it loading still, and is called off.
  scene.table({ epoch: 1, move: MOVE });
  scene.table({ epoch: 2 });
  scene.host.tick();
  assert.equal(scene.loading.length, 3);
  scene.host.entities.loaded(scene.loading[2]!, { value: 7 });
  assert.equal(scene.send(2).outcome, 8);
});

test('a message whose sender has given it up is not handled', () => {
  const scene = new Scene();
  scene.slow = true;
  scene.table({ epoch: 1 });
  const [first, late, third] = [scene.send(1), scene.send(1, 50), scene.send(1, 150)];
  scene.nowMs = 100;
  scene.end(scene.running[0]!);
  scene.end(scene.running[1]!);
  assert.deepEqual([first.outcome, late.outcome, third.outcome], [1, 'not_delivered', 2]);
});
