/** Whole runs of the simulator: repeatable, complete under what may happen, and its bad input. */

import { expect, test } from 'vitest';
import { problemOf } from './command.ts';
import { optionsOf } from './options.fixtures.ts';
import { runSim } from './run.ts';

const small = '--hosts 16 --origins 2 --image 32MiB --layers 2 --up 100MB/s --down 100MB/s --arrive 200ms';

test.each(['fast', 'exact'])(
  '%s: one seed is one run; another seed is another',
  async (network) => {
    const line = `${small} --network ${network} --crash 60%/min --readers random`;
    const first = runSim(await optionsOf(`${line} --seed 7`));
    const again = runSim(await optionsOf(`${line} --seed 7`));
    const other = runSim(await optionsOf(`${line} --seed 8`));
    const { wallS: _, cpuS: __, rssMiB: ___, ...figures } = first;
    expect(again).toMatchObject(figures);
    expect(other.traceHash).not.toBe(first.traceHash);
    expect(first.incompleteUp).toBe(0);
  },
  60_000,
);

test.each([
  '--crash 100%/min',
  '--slow 20%:10MB/s',
  '--arrive 100ms --trackers-die 150ms',
  '--zones 3 --oversubscription 4',
  '--readers inorder',
  '--origins 1 --origin-up 20MB/s',
  '--images 5 --image-max 64MiB --downloads 40 --layers 1',
])('every host that stays up completes: %s', async (extra) => {
  const result = runSim(await optionsOf(`${small} ${extra}`));
  expect(result.incompleteUp).toBe(0);
  expect(result.p50S).toBeGreaterThan(0.2);
  // Times count from a host's own arrival; nobody is faster than its own downlink.
  expect(Math.min(...result.timesS)).toBeGreaterThan((0.98 * Math.min(result.bytesPerHost, 32 * 2 ** 20)) / 100e6);
});

test('what crosses zones is counted where it arrives: a copy at least wherever no origin is', async () => {
  const { crossZoneCopies, originCopies } = runSim(await optionsOf(`${small} --zones 2 --origins-apart --hosts 2`));
  expect(crossZoneCopies[1]).toBeGreaterThanOrEqual(1);
  expect((crossZoneCopies[0] as number) + (crossZoneCopies[1] as number)).toBeLessThanOrEqual(originCopies + 1);
  expect(runSim(await optionsOf(small)).crossZoneCopies).toEqual([0]);
});

test('without any tracker hosts hear of each other from the origins, and are hardly slower', async () => {
  const line = '--hosts 100 --origins 2 --image 64MiB --piece 512KiB --layers 1 --network fast';
  const without = runSim(await optionsOf(`${line} --trackers 0`));
  const withThem = runSim(await optionsOf(line));
  expect(without.incomplete).toBe(0);
  expect(without.maxS).toBeLessThan(1.2 * withThem.maxS);
}, 60_000);

test('a reader in order sees the first piece early and half of the image by about half of the time', async () => {
  const result = runSim(await optionsOf(`${small} --image 128MiB --readers inorder --network fast`));
  expect(result.firstPieceP50S).toBeLessThan(0.15 * result.p50S);
  expect(result.prefix50P50S).toBeLessThan(0.8 * result.p50S);
}, 60_000);

test('readers out of the blue are served early, which costs the others nothing; without wishes they are not', async () => {
  const line = '--hosts 30 --origins 1 --image 96MiB --layers 1 --up 50MB/s --down 50MB/s --network fast';
  for (const readers of ['random', 'lazy']) {
    const wishes = runSim(await optionsOf(`${line} --readers ${readers}`));
    const none = runSim(await optionsOf(`${line} --readers ${readers} --no-wishes`));
    expect([wishes.rangesUnserved, none.rangesUnserved, wishes.incomplete]).toEqual([0, 0, 0]);
    expect(wishes.firstRangeP50S).toBeLessThan(0.5 * none.firstRangeP50S);
    expect(wishes.p50S).toBeLessThan(1.1 * none.p50S);
    expect(wishes.originCopies).toBeLessThan(1.1);
  }
  const few = runSim(await optionsOf(`${line} --readers random --reader-share 10%`));
  const nobody = runSim(await optionsOf(line));
  expect(few.firstRangeP99S).toBeGreaterThan(0);
  expect(nobody.firstRangeP99S).toBeNaN();
}, 120_000);

test.each(['6MB/s', '12MB/s', '25MB/s'])('links of %s are kept busy', async (rate) => {
  const line = `--hosts 12 --origins 1 --image 64MiB --layers 1 --up ${rate} --down ${rate} --origin-up ${rate} --arrive 0s`;
  const result = runSim(await optionsOf(line));
  // With a cap of 200 ms on what an uplink has outstanding the slowest took 1.48 x the bound.
  expect(result.maxS / result.boundS).toBeLessThan(1.35);
});

test('the policy of Kraken sends several copies from its origin and takes longer', async () => {
  const line = '--hosts 24 --origins 1 --image 96MiB --layers 1 --piece 4MiB --up 100MB/s --down 100MB/s --arrive 0s';
  const shoal = runSim(await optionsOf(`${line} --policy shoal`));
  const kraken = runSim(await optionsOf(`${line} --policy kraken`));
  expect(kraken.incompleteUp).toBe(0);
  expect(kraken.p50S).toBeGreaterThan(1.2 * shoal.p50S);
  expect(kraken.originCopies).toBeGreaterThan(shoal.originCopies);
});

test.each([
  ['--hosts 0', 'hosts'],
  ['--hosts many', 'hosts'],
  ['--image 3XB', 'image'],
  ['--piece 3MiB', 'piece'],
  ['--piece 32MiB', 'piece'],
  ['--up fast', 'up'],
  ['--slow 5:30MB/s', 'slow'],
  ['--slow 105%:30MB/s', 'slow'],
  ['--crash 2%', 'crash'],
  ['--arrive soon', 'arrive'],
  ['--degree 1', 'degree'],
  ['--policy best', 'policy'],
  ['--readers backwards', 'readers'],
  ['--reader-share half', 'reader-share'],
  ['--reader-share 101%', 'reader-share'],
  ['--no-such-option', 'no-such-option'],
])('%s is refused by name', async (line, named) => {
  await expect(optionsOf(line)).rejects.toThrow(named);
});

test('a run that cannot be held says so before it starts, and what to lower', async () => {
  const problem = problemOf(await optionsOf('--hosts 20000 --image 100GB --piece 256KiB'));
  expect(problem).toMatch(/20000 hosts.*GiB.*lower --hosts or --image, or raise --piece/);
  expect(problemOf(await optionsOf('--hosts 100 --image 1GB'))).toBeUndefined();
});

test.each(['--plot', '--trace'])('%s that cannot be written is told before the run', async (option) => {
  const problem = problemOf(await optionsOf(`--hosts 5 ${option} /nonexistent/file`));
  expect(problem).toBe(`${option} /nonexistent/file cannot be written (ENOENT): choose another file`);
});

test('hosts that know different trackers, none of them the same, are one swarm all the same: one copy leaves the origin', async () => {
  const line =
    '--hosts 40 --origins 1 --image 128MiB --layers 1 --piece 1MiB --up 100MB/s --down 100MB/s --arrive 200ms';
  const apart = runSim(await optionsOf(`${line} --trackers 2 --trackers-apart`));
  const together = runSim(await optionsOf(`${line} --trackers 2`));
  expect(apart.incompleteUp).toBe(0);
  // Two swarms would take two.
  expect(apart.originCopies).toBeLessThan(1.2);
  expect(apart.p99S).toBeLessThan(1.15 * together.p99S);
}, 60_000);
