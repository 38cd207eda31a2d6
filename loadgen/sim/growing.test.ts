/** Hosts pull a blob that its origin still receives: all have it soon after the backend has sent it, or as fast as the swarm goes. */

import { expect, test } from 'vitest';
import { type SimOptions, simCommand } from './options.ts';
import { runSim } from './run.ts';

async function optionsOf(line: string): Promise<SimOptions> {
  let options: SimOptions | undefined;
  const command = simCommand(async (given) => {
    options = given;
  });
  await command.exitOverride().parseAsync(line.split(' '), { from: 'user' });
  return options as SimOptions;
}

const all = '--origins 1 --layers 1 --up 1250MB/s --down 1250MB/s --disk-write 4GB/s --arrive 50ms --network fast';
const slow = `${all} --image 500MB --piece 4MiB --grow 100MB/s`;

test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])(
  '40 hosts, 100 MB/s: the last at 1.1 of what the backend takes (seed %i)',
  async (seed) => {
    const result = runSim(await optionsOf(`--hosts 40 ${slow} --seed ${seed}`));
    expect(result).toMatchObject({ incomplete: 0, backendS: 5 });
    expect(result.overMaxMax).toBeLessThan(1.06);
    expect(result.firstPieceP50S).toBeLessThan(0.3);
    // Ten a second while it is younger than two seconds, a share of its age then.
    expect(result.announces / 40).toBeLessThan(60);
  },
  120_000,
);

test('a backend that is faster than the swarm costs hardly more than a whole blob does', async () => {
  const line =
    '--hosts 60 --origins 1 --layers 1 --up 100MB/s --down 100MB/s --arrive 50ms --network fast --image 256MB --piece 2MiB';
  const whole = runSim(await optionsOf(line));
  const grows = runSim(await optionsOf(`${line} --grow 1GB/s`));
  expect(grows.incomplete).toBe(0);
  expect(grows.maxS).toBeLessThan(1.06 * whole.maxS);
  expect(grows.originCopies).toBeLessThan(1.35);
}, 120_000);

test('hosts that crash, readers out of the blue, two layers: all complete, and one seed is one run', async () => {
  const line = `--hosts 30 ${all} --layers 2 --image 400MB --piece 4MiB --grow 100MB/s --crash 100%/min --readers random`;
  const [first, again] = [runSim(await optionsOf(line)), runSim(await optionsOf(line))];
  expect(first).toMatchObject({ incompleteUp: 0, rangesUnserved: 0, traceHash: again.traceHash });
}, 120_000);
