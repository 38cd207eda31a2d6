/** `--scale`: what it stands for, that given options win, and that its goal can be missed. */

import { expect, test } from 'vitest';
import { progressText } from './command.ts';
import { optionsOf } from './options.fixtures.ts';
import { runSim } from './run.ts';
import { scales, verdictOf } from './scales.ts';

test.each(Object.keys(scales))('%s is a command whose every option there is', async (name) => {
  const options = await optionsOf(`--scale ${name}`);
  const byHand = Object.entries((scales[name] as { options: Record<string, string> }).options);
  const given = await optionsOf(byHand.map(([flag, value]) => `--${flag} ${value}`).join(' '));
  expect(options).toEqual({ ...given, scale: name });
});

test('options that are given win over those of the scale, by whatever name they are resolved', async () => {
  const options = await optionsOf('--scale seeder --hosts 12 --arrive 0s --origin-up 5MB/s');
  expect(options).toMatchObject({ hosts: 12, origins: 1, arriveMs: 0, originUp: 5e6, image: 3e9 });
});

test('the goal is reached by links of equal speed, and missed where the seeder has no uplink to speak of', async () => {
  const line = '--scale seeder --hosts 12 --image 64MiB --up 50MB/s --down 50MB/s --arrive 0s --origin-up';
  const [good, slow] = await Promise.all([optionsOf(`${line} 50MB/s`), optionsOf(`${line} 50MB/s --limit 300ms`)]);
  expect(verdictOf('crowd', runSim(good))).toMatch(/^p99, seconds: 1\.\d{3}, at most 10\.9: reached$/);
  expect(verdictOf('seeder', runSim(slow))).toMatch(/missed$/);
});

test('progress says what is left once there is something to tell it by', () => {
  const at = { nowMs: 1234, done: 3, downloads: 12, events: 5000 };
  expect(progressText({ ...at, share: 0.25 }, 412_345, 10)).toBe(
    '1.23 s of virtual time: 3 of 12 downloads done, 25.0 % of the pieces, 412,000 events/s, 30 s left',
  );
  expect(progressText({ ...at, share: 0 }, 0, 1)).not.toContain('left');
});
