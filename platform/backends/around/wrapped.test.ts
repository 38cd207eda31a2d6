/** All wrappers together, around a backend that fails as it likes. */

import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { prng } from '../../../core/prng.ts';
import { VirtualClock } from '../../net/clock.fixtures.ts';
import { Metrics } from '../../telemetry/metrics.ts';
import { BackendError } from '../backend.ts';
import { FaultyBackend } from '../faulty.fixtures.ts';
import { MemoryBackend } from '../memory.ts';
import { bytesOf, never, sourceOf } from '../objects.fixtures.ts';
import { passing } from './passing.fixtures.ts';
import { wrapped } from './wrapped.ts';

const seeds = 40;

test.each(Array.from({ length: seeds }, (_, i) => i))(
  'seed %i: never a wrong byte, never an end without a word',
  async (seed) => {
    const clock = new VirtualClock();
    const random = prng(seed);
    const faulty = new FaultyBackend(new MemoryBackend('main'));
    const backend = wrapped(faulty, {
      clock,
      prng: prng(seed + 1),
      metrics: new Metrics(),
      stallMs: 1_000,
      sharers: () => 1,
      limits: { reads: 4, writes: 2, of: 'origin' },
    });
    const bytes = randomBytes(400_000);
    faulty.sometimes(random, 0.4);
    const attempt = async (): Promise<'right' | 'foreign'> => {
      await backend.write('key', sourceOf(bytes), never);
      const there = await backend.stat('key', never);
      if (there === undefined || there.size !== bytes.length) return 'foreign';
      const read = await bytesOf(backend.read('key', { start: 0, end: there.size, version: there.version }, never));
      expect(read.length).toBe(bytes.length);
      return read.equals(bytes) ? 'right' : 'foreign';
    };
    const ends = Array.from({ length: 6 }, () =>
      attempt().catch((error: unknown) => {
        if (!(error instanceof BackendError)) throw error;
        expect(error.message).toMatch(/^main: /);
        return error.why;
      }),
    );
    await passing(clock, Promise.all(ends));
    faulty.heal();
    clock.until(clock.ms + 60_000);
    expect((await passing(clock, attempt())).given).toBe('right');
    expect(clock.waiting).toBe(0);
  },
);
