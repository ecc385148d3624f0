// What a node's metrics say of the entities and devices that live on it.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { defineEntity, Fleet } from '../../src/node/index.ts';
import { eventually, temporaryFolder } from './processes.ts';

const Counter = defineEntity({
  name: 'counter',
  shards: 8,
  initial: () => ({ value: 0 }),
  handlers: {
    add: (state, amount: number) => {
      state.value += amount;
    },
    fail: () => {
      throw new Error('on purpose');
    },
  },
});

test('GET /metrics counts shards, entities, their messages, and devices in use', async () => {
  const folder = temporaryFolder();
  const fleet = await Fleet.found({
    ...{ name: 'node-0', dataDir: path.join(folder.path, 'node-0'), log: 'silent' },
    ...{ listen: { host: '127.0.0.1', port: 0 }, http: { port: 0 } },
  });
  const metrics = async () => (await fetch(`${fleet.httpUrl}/metrics`)).text();
  try {
    assert.doesNotMatch(await metrics(), /flotilla_entities\{|flotilla_device_memory_bytes\{/);
    fleet.host(Counter);
    for (const id of ['a', 'b', 'c']) await fleet.entity(Counter, id).ask({ add: 1 });
    await assert.rejects(fleet.entity(Counter, 'a').ask('fail'));
    const device = await fleet.devices.place();
    await device.allocate('float32', 1000);
    const text = await eventually(metrics, (all) => /device_memory_used_bytes\{.* [1-9]/.test(all));
    for (const line of [
      'flotilla_shards{type="counter",phase="running"} 8',
      'flotilla_entities{type="counter"} 3',
      'flotilla_entity_messages_answered_total{type="counter"} 3',
      'flotilla_entity_messages_failed_total{type="counter"} 1',
      'flotilla_entity_messages_waiting{type="counter"} 0',
      'flotilla_entity_messages_refused_total{type="counter"} 0',
      'flotilla_shards_handed_over_total{type="counter"} 0',
      'flotilla_tells_lost_total 0',
      'flotilla_shard_coordinator 1',
      'flotilla_device_faults_total{device="node-0/cpu-0",backend="cpu"} 0',
    ]) {
      assert.ok(text.includes(`${line}\n`), line);
    }
  } finally {
    await fleet.stop();
    folder.dispose();
  }
});
