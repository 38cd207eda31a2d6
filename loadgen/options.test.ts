/** Options of live, announce, pull, tags and calibrate: what is wrong is named before anything starts. */

import { type Command, CommanderError } from 'commander';
import { expect, test } from 'vitest';
import { announceCommand } from './announce/options.ts';
import { calibrateCommand } from './calibrate/options.ts';
import { type LiveOptions, liveCommand, processesFor } from './live/options.ts';
import { pullCommand } from './pull/options.ts';
import { tagsCommand } from './tags/options.ts';

async function parsed<T>(make: (run: (options: T) => Promise<void>) => Command, args: readonly string[]): Promise<T> {
  let options: T | undefined;
  const command = make(async (given) => {
    options = given;
  });
  command.exitOverride().configureOutput({ writeErr: () => undefined });
  await command.parseAsync(args, { from: 'user' });
  return options as T;
}

/** What reading `args` ends with. */
const refused =
  <T>(make: (run: (options: T) => Promise<void>) => Command) =>
  (args: readonly string[]): Promise<unknown> =>
    parsed(make, args).catch((error: unknown) => error);

test.each([
  [liveCommand.name, ['--agents', '1'], 'expected a whole number from 2', refused(liveCommand)],
  [liveCommand.name, ['--size', '1KiB'], 'expected a size from 256KiB on', refused(liveCommand)],
  [liveCommand.name, ['--arrive', '5'], 'expected a duration', refused(liveCommand)],
  [liveCommand.name, ['--uplink', '3'], 'expected a rate', refused(liveCommand)],
  [liveCommand.name, ['--rate', '1kB/s'], 'expected a rate from 100kB/s on', refused(liveCommand)],
  [liveCommand.name, ['--degree', '65'], 'from 2 to 64', refused(liveCommand)],
  [announceCommand.name, ['--leases', '1000,500'], 'expected ascending numbers', refused(announceCommand)],
  [announceCommand.name, ['--layers', '5000'], 'from 1 to 2048', refused(announceCommand)],
  [announceCommand.name, ['--duration', '1'], 'expected a duration', refused(announceCommand)],
  [pullCommand.name, ['--kind', 'tag'], 'Allowed choices are', refused(pullCommand)],
  [pullCommand.name, ['--readers', '0'], 'from 1 to 1000', refused(pullCommand)],
  [tagsCommand.name, ['--readers', '0'], 'from 1 to 15000', refused(tagsCommand)],
  [tagsCommand.name, ['--store', 'nothing'], 'expected sqlite, postgres://', refused(tagsCommand)],
  [calibrateCommand.name, ['--rate', '10'], 'expected a rate', refused(calibrateCommand)],
  [calibrateCommand.name, ['--hosts', '100'], 'from 2 to 60', refused(calibrateCommand)],
])('%s %j is refused: %s', async (_, args, why, read) => {
  const error = await read(args);
  expect(error).toBeInstanceOf(CommanderError);
  expect((error as Error).message).toContain(why);
});

test('defaults are those of the goals', async () => {
  expect(await parsed(liveCommand, [])).toMatchObject({ agents: 2_600, size: 2 ** 24, arriveMs: 0 });
  expect(await parsed(announceCommand, [])).toMatchObject({ leases: [1_000, 10_000, 100_000, 1_000_000] });
  expect(await parsed(tagsCommand, [])).toMatchObject({ readers: 2_600, tags: 20, durationMs: 3_000 });
  expect(await parsed(calibrateCommand, [])).toMatchObject({ hosts: 12, size: 2 ** 27 });
  expect(await parsed(pullCommand, ['--kind', 'head'])).toMatchObject({ kinds: ['head'], targets: ['agent', 'proxy'] });
});

test('agents that do not fit say what to raise', async () => {
  const options = await parsed<LiveOptions>(liveCommand, []);
  expect(processesFor(options)).toBeTypeOf('number');
  expect(processesFor({ ...options, processes: 1, agents: 10_000 })).toMatch(/need \d+ processes .* raise --processes/);
  expect(processesFor({ ...options, agents: 20_000, degree: 64 })).toMatch(/lower --agents/);
});
