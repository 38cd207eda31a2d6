/** Hosts that say their zones: what crosses, by count, and that no zone is left without. */

import { expect, test } from 'vitest';
import { optionsOf } from './options.fixtures.ts';
import { runSim } from './run.ts';

const rates = '--up 100MB/s --down 100MB/s --arrive 200ms --piece 256KiB --layers 1 --oversubscription 10';
const small = `--hosts 60 --image 64MiB --zones 3 ${rates}`;

test.each([
  ['--locality', 1],
  ['--locality --origins-apart', 2],
  ['--locality --origins-apart --origins 1', 2],
])(
  'few copies cross into a zone: %s',
  async (extra, most) => {
    const result = runSim(await optionsOf(`${small} ${extra}`));
    expect(result.incomplete).toBe(0);
    expect(Math.max(...result.crossZoneCopies)).toBeLessThan(most);
  },
  60_000,
);

test('many do where hosts do not say their zones', async () => {
  const result = runSim(await optionsOf(small));
  expect(Math.min(...result.crossZoneCopies)).toBeGreaterThan(5);
}, 60_000);

test.each([
  ['a host in each', '--hosts 6 --zones 6'],
  ['two in some', '--hosts 9 --zones 6 --origins-apart'],
  ['hosts crash, those with links into others among them', '--hosts 24 --zones 3 --crash 100%/min'],
])(
  'no zone is left without: %s',
  async (_, extra) => {
    const result = runSim(await optionsOf(`--image 32MiB ${rates} --locality ${extra}`));
    expect(result.incompleteUp).toBe(0);
  },
  60_000,
);
