/** Whose request it is, behind proxies that are trusted and others that are not. */

import { expect, test } from 'vitest';
import { clientOf, trustedOf } from './call.ts';

const trusted = ['10.0.0.0/8', '127.0.0.1', 'fd00::/16', '::1'];
const from = (remoteAddress: string | undefined, forwarded?: string, believed = trusted): string =>
  clientOf({ socket: { remoteAddress }, headers: { 'x-forwarded-for': forwarded } }, trustedOf(believed));

test.each([
  ['192.0.2.1', undefined, '192.0.2.1', 'the connection tells'],
  ['192.0.2.1', '203.0.113.9', '192.0.2.1', 'a stranger is not believed'],
  ['10.1.2.3', '203.0.113.9', '203.0.113.9', 'a trusted proxy is'],
  ['::ffff:10.1.2.3', '203.0.113.9', '203.0.113.9', 'also where IPv4 comes as IPv6'],
  ['10.1.2.3', '198.51.100.7, 203.0.113.9, 10.9.9.9', '203.0.113.9', 'as far as the last one that is not trusted'],
  ['10.1.2.3', undefined, '10.1.2.3', 'one that says nothing is the client'],
  ['10.1.2.3', 'unknown', '10.1.2.3', 'or says what is no address'],
  ['10.1.2.3', '203.0.113.9:55012', '203.0.113.9', 'with a port'],
  ['::1', '[2001:db8:1:2::5]:443', '2001:db8:1:2::/64', 'IPv6 in brackets'],
  ['2001:db8:1:2:3:4:5:6', undefined, '2001:db8:1:2::/64', 'a network of IPv6 is one client'],
  ['2001:db8::6%eth0', undefined, '2001:db8:0:0::/64', 'whatever its form'],
  ['fd00:1::1', '10.0.0.1, 192.0.2.4', '192.0.2.4', 'a trusted network of IPv6'],
  [undefined, undefined, '', 'a connection that is gone'],
])('%s, forwarded %s: %s: %s', (remote, forwarded, client, _why) => {
  expect(from(remote, forwarded)).toBe(client);
});

test('nobody is trusted unless the configuration says so', () => {
  expect(from('127.0.0.1', '203.0.113.9', [])).toBe('127.0.0.1');
});
