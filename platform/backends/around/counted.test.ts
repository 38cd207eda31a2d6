import { expect, test } from 'vitest';
import { VirtualClock } from '../../net/clock.fixtures.ts';
import { Metrics } from '../../telemetry/metrics.ts';
import { FaultyBackend } from '../faulty.fixtures.ts';
import { MemoryBackend } from '../memory.ts';
import { bytesOf, never, sourceOf } from '../objects.fixtures.ts';
import { Counted } from './counted.ts';

test('requests are counted by operation and outcome, bytes by direction, and durations', async () => {
  const [metrics, clock] = [new Metrics(), new VirtualClock()];
  const faulty = new FaultyBackend(new MemoryBackend('main'));
  const backend = new Counted(faulty, { metrics, clock });
  const source = sourceOf(Buffer.alloc(250_000, 1));
  await backend.write('key', source, never);
  faulty.fail({ on: 'stat', what: 'throttled' }, { on: 'read', what: 'unavailable', at: 1000 });
  await expect(backend.stat('key', never)).rejects.toThrow();
  await backend.stat('key', never);
  const read = () => bytesOf(backend.read('key', { start: 0, end: 100_000 }, never));
  await expect(read()).rejects.toThrow();
  await read();
  await expect(backend.put('key', Buffer.alloc(1), AbortSignal.abort())).rejects.toThrow();
  for await (const _ of backend.read('key', { start: 0, end: 100_000 }, never)) break;
  const text = await metrics.text();
  const value = (line: string): number => Number(text.match(new RegExp(`^shoal_${line} (.*)$`, 'm'))?.[1]);
  const requests = (operation: string, outcome: string): number =>
    value(`backend_requests_total{backend="main",operation="${operation}",outcome="${outcome}"}`);
  expect([requests('write', 'ok'), requests('stat', 'throttled'), requests('stat', 'ok')]).toEqual([1, 1, 1]);
  expect([requests('read', 'unavailable'), requests('read', 'ok'), requests('read', 'left')]).toEqual([1, 1, 1]);
  expect(requests('put', 'left')).toBe(1);
  expect(value('backend_bytes_total{backend="main",direction="up"}')).toBe(250_000);
  expect(value('backend_bytes_total{backend="main",direction="down"}')).toBe(1000 + 100_000 + 65_536);
  expect(value('backend_request_seconds_count{backend="main",operation="read"}')).toBe(3);
});
