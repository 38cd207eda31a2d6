import { expect, test } from 'vitest';
import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { Allowed, everybody } from './allowed.ts';

function allowed(...networks: string[]): Allowed {
  return new Allowed({ listener: 'listen', networks, log: silentLog(), metrics: new Metrics() });
}

test.each([
  [
    ['10.0.0.0/8'],
    ['10.1.2.3', '::ffff:10.1.2.3', '::ffff:a01:203', '::FFFF:0A01:0203'],
    ['11.0.0.1', '::ffff:11.0.0.1', '::1', '', 'nonsense'],
  ],
  [['::ffff:10.0.0.0/104'], ['10.1.2.3', '::ffff:10.1.2.3'], ['11.0.0.1']],
  [['::ffff:10.0.0.1'], ['10.0.0.1'], ['10.0.0.2']],
  [['fd00::/8'], ['fd12::1', 'fd12::1%eth0'], ['fe80::1', '10.0.0.1', '::']],
  [['192.168.1.7'], ['192.168.1.7'], ['192.168.1.8', '192.168.1.70']],
  [['2001:db8::1'], ['2001:db8::1', '2001:db8:0:0:0:0:0:1'], ['2001:db8::2']],
  [['0.0.0.0/0'], ['1.2.3.4', '::ffff:1.2.3.4'], ['::1']],
  [['::/0'], ['::1', 'fe80::1%lo', '1.2.3.4'], []],
  [['::ffff:0:0/80'], ['1.2.3.4'], ['fd00::1']],
  [[...everybody], ['1.2.3.4', '::1', '::ffff:1.2.3.4'], []],
])('%j lets in %j, not %j', (networks, let_, not) => {
  using list = allowed(...networks);
  expect([...let_, ...not].filter((address) => list.letsIn(address))).toEqual(let_);
});

test('who is refused is counted each time and logged once, and another list counts from then on', async () => {
  const metrics = new Metrics();
  const lines: object[] = [];
  const log = { info: () => undefined, warn: (fields: object) => void lines.push(fields) };
  using list = new Allowed({ listener: 'admin', networks: ['10.0.0.1'], log, metrics });
  for (let i = 0; i < 1_000; i++) list.letsIn('10.0.0.2');
  expect(lines).toEqual([{ listener: 'admin', from: '10.0.0.2' }]);
  expect(await metrics.text()).toContain('shoal_connections_refused_total{listener="admin"} 1000');
  list.replace(['10.0.0.2']);
  expect([list.letsIn('10.0.0.2'), list.letsIn('10.0.0.1')]).toEqual([true, false]);
});

test('a thousand addresses that are refused are a bounded number of lines', () => {
  const lines: object[] = [];
  const log = { info: () => undefined, warn: (fields: object) => void lines.push(fields) };
  using list = new Allowed({ listener: 'listen', networks: ['10.0.0.1'], log, metrics: new Metrics() });
  for (let i = 0; i < 1_000; i++) list.letsIn(`11.0.${i >> 8}.${i & 255}`);
  expect(lines.length).toBeLessThan(100);
});
