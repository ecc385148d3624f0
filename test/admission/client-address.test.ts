// Whose request it is when proxies stand between: the header counts as far as trusted proxies wrote
// it, and no further.
import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { ClientAddress, clientOfAddress, IpNetworks, parseIp } from '../../src/admission/index.ts';
import { hasCode } from '../../src/core/index.ts';

const behindProxies = new ClientAddress({
  trustedProxies: ['10.0.0.0/8', '192.0.2.7', 'fd00::/8'],
});

test('without trusted proxies the header means nothing', () => {
  const direct = new ClientAddress();
  assert.equal(direct.of('203.0.113.5', '1.2.3.4'), '203.0.113.5');
  assert.equal(direct.of('::ffff:203.0.113.5', '1.2.3.4'), '203.0.113.5');
  assert.equal(direct.of('127.0.0.1'), '127.0.0.1');
});

test('a client that is no proxy cannot say that it is another', () => {
  assert.equal(behindProxies.of('203.0.113.5', '1.2.3.4'), '203.0.113.5');
  // It may write what it likes in front: its proxy adds the truth behind.
  assert.equal(behindProxies.of('10.0.0.1', '1.2.3.4, 203.0.113.5'), '203.0.113.5');
  assert.equal(behindProxies.of('10.0.0.1', '10.0.0.9, 203.0.113.5, 10.0.0.2'), '203.0.113.5');
});

test('chains of proxies are followed back to the client', () => {
  assert.equal(behindProxies.of('10.0.0.1', '203.0.113.5'), '203.0.113.5');
  assert.equal(behindProxies.of('10.0.0.1', '203.0.113.5,192.0.2.7 , 10.9.9.9'), '203.0.113.5');
  assert.equal(behindProxies.of('fd00::1', '203.0.113.5, 10.9.9.9'), '203.0.113.5');
  assert.equal(behindProxies.of('::ffff:10.0.0.1', '203.0.113.5'), '203.0.113.5');
  // A proxy asks for itself.
  assert.equal(behindProxies.of('10.0.0.1', '10.2.2.2, 10.9.9.9'), '10.2.2.2');
  assert.equal(behindProxies.of('10.0.0.1', undefined), '10.0.0.1');
});

test('ports, brackets and IPv6 in the header are read; what is no address ends the search', () => {
  assert.equal(behindProxies.of('10.0.0.1', '203.0.113.5:4711'), '203.0.113.5');
  assert.equal(behindProxies.of('10.0.0.1', '[2001:db8::1]:443'), '2001:db8:0:0:0:0:0:1');
  assert.equal(behindProxies.of('10.0.0.1', '2001:DB8::1'), '2001:db8:0:0:0:0:0:1');
  for (const odd of [
    '',
    ',',
    ' ,',
    'unknown',
    '_hidden',
    '1.2.3',
    '999.1.1.1',
    '1.2.3.4, nobody',
  ]) {
    assert.equal(behindProxies.of('10.0.0.1', odd), '10.0.0.1', odd);
  }
  assert.equal(behindProxies.of('10.0.0.1', '1.2.3.4, , 10.0.0.2'), '10.0.0.2');
});

test('whatever the header says, the answer is an address, and a stranger’s is its own', () => {
  const part = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ maxLength: 8 }), fc.constant('10.0.0.3'));
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), fc.constantFrom(',', ', '), (parts, comma) => {
      const address = behindProxies.of('10.0.0.1', parts.join(comma));
      assert.notEqual(parseIp(address), undefined);
      assert.equal(behindProxies.of('203.0.113.5', parts.join(comma)), '203.0.113.5');
    }),
  );
});

test('networks hold the addresses that Node’s own lists hold', () => {
  const network = fc.oneof(
    fc.tuple(fc.ipV4(), fc.nat(32), fc.constant('ipv4' as const)),
    fc.tuple(fc.ipV6(), fc.nat(128), fc.constant('ipv6' as const)),
  );
  const near = (base: string) => fc.constantFrom(base, base.replace(/[\da-f]$/, '1'));
  fc.assert(
    fc.property(
      network.chain((net) =>
        fc.tuple(fc.constant(net), fc.oneof(near(net[0]), fc.ipV4(), fc.ipV6())),
      ),
      ([[base, bits, family], address]) => {
        const other = address.includes(':') ? 'ipv6' : 'ipv4';
        fc.pre(other === family && parseIp(address) !== undefined);
        const list = new BlockList();
        list.addSubnet(base, bits, family);
        const expected = list.check(address, other);
        const networks = new IpNetworks('trustedProxies', [`${base}/${bits}`]);
        assert.equal(networks.has(parseIp(address)!), expected, `${address} in ${base}/${bits}`);
      },
    ),
    { numRuns: 500 },
  );
});

test('networks that are none are refused by name', () => {
  for (const odd of [
    '10.0.0.0/33',
    'fd00::/129',
    'proxy.example',
    '10.0.0/8',
    '',
    '10.0.0.0/',
    '::1/-1',
  ]) {
    assert.throws(
      () => new ClientAddress({ trustedProxies: [odd] }),
      (error) => hasCode(error, 'invalid_option') && error.details['option'] === 'trustedProxies',
      odd,
    );
  }
});

test('a subscriber’s IPv6 addresses count as one client, IPv4 addresses each', () => {
  assert.equal(clientOfAddress('203.0.113.5'), '203.0.113.5');
  assert.equal(clientOfAddress('2001:db8:1:2::1'), '2001:db8:1:2::/64');
  assert.equal(clientOfAddress('2001:db8:1:2:ffff::9'), clientOfAddress('2001:db8:1:2::1'));
  assert.notEqual(clientOfAddress('2001:db8:1:3::1'), clientOfAddress('2001:db8:1:2::1'));
});
