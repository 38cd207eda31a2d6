import { expect, test } from 'vitest';
import { Bug } from '../../core/assert.ts';
import { Metrics } from './metrics.ts';

test('names get the prefix, the same name gives the same metric, another kind is a Bug', async () => {
  const metrics = new Metrics();
  metrics.counter('bytes_total', 'Bytes', ['way']).inc({ way: 'in' }, 5);
  metrics.counter('bytes_total', 'Bytes', ['way']).inc({ way: 'in' }, 2);
  expect(await metrics.text()).toContain('shoal_bytes_total{way="in"} 7');
  expect(() => metrics.gauge('bytes_total', 'Bytes')).toThrow(Bug);
});

test('two Metrics of one process share nothing', async () => {
  const one = new Metrics();
  one.counter('x_total', 'X').inc();
  one.observed('free_bytes', 'Free', () => 42);
  const text = await one.text();
  expect(text).toContain('shoal_free_bytes 42');
  expect(await new Metrics().text()).not.toContain('shoal_');
});

test('process defaults have their usual names', async () => {
  expect(await new Metrics({ processDefaults: true }).text()).toContain('process_resident_memory_bytes');
});

test('tallies are plain numbers that the metrics show when they are read, once a name', async () => {
  const metrics = new Metrics();
  const sent = metrics.tallies('sent_bytes_total', 'Bytes', 'role', ['agent', 'origin']);
  sent.agent.add(3);
  metrics.tallies('sent_bytes_total', 'Bytes', 'role', ['agent']).agent.add(4);
  expect(await metrics.text()).toContain('shoal_sent_bytes_total{role="agent"} 7');
  sent.origin.add(1);
  const text = await metrics.text();
  expect(text).toContain('shoal_sent_bytes_total{role="agent"} 7');
  expect(text).toContain('shoal_sent_bytes_total{role="origin"} 1');
});
