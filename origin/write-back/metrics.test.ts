import { expect, test, vi } from 'vitest';
import type { LaneStats } from '../../platform/queue/row.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { observeQueue } from './metrics.ts';

test('a backend that has got all of it is 0 from then on, and not gone', async () => {
  vi.useFakeTimers();
  try {
    const lane: LaneStats = {
      lane: 'main',
      waiting: 2,
      bytes: 5,
      dead: 0,
      oldestMs: Date.now(),
      causes: { denied: 1 },
    };
    const answers = [[lane], []];
    const queue = { stats: async () => answers.shift() ?? [] };
    const metrics = new Metrics({});
    using _counting = observeQueue(metrics, queue, { warn: () => undefined });
    await vi.advanceTimersByTimeAsync(1);
    expect(await metrics.text()).toContain('write_back_waiting{backend="main"} 2');
    await vi.advanceTimersByTimeAsync(6_000);
    const text = await metrics.text();
    expect(text).toContain('write_back_waiting{backend="main"} 0');
    expect(text).not.toContain('denied');
  } finally {
    vi.useRealTimers();
  }
});
