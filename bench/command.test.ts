/** Which benchmarks run in which size, and that a bad option is named before anything starts. */

import { CommanderError } from 'commander';
import { afterEach, expect, test } from 'vitest';
import { benchCommand, type Given } from './command.ts';

afterEach(() => {
  process.exitCode = undefined;
});

async function bench(...args: string[]): Promise<{ ran: [string, Given][]; said: string }> {
  let said = '';
  const ran: [string, Given][] = [];
  const one = (name: string) => async (given: Given) => {
    ran.push([name, given]);
    return { ratioToCurl: 0.9, [`${name}Figure`]: 1 };
  };
  const command = benchCommand({ pull: one('pull'), micro: one('micro') }, (text) => {
    said += text;
  }).exitOverride();
  command.configureOutput({ writeErr: () => undefined });
  await command.parseAsync(args, { from: 'user' });
  return { ran, said };
}

test('without a name everything runs, small; with one only that, in full', async () => {
  expect((await bench()).ran.map(([name, given]) => [name, given.small])).toEqual([
    ['pull', true],
    ['micro', true],
  ]);
  expect((await bench('micro')).ran.map(([name, given]) => [name, given.small])).toEqual([['micro', false]]);
  expect((await bench('pull', '--small')).ran[0]?.[1].small).toBe(true);
});

test('--json prints one object as the last line', async () => {
  const { said } = await bench('pull', '--json', '--size', '1GiB', '--workers', '2');
  const last = said.trim().split('\n').at(-1) ?? '';
  expect(JSON.parse(last)).toMatchObject({ ratioToCurl: 0.9, pullFigure: 1, small: false });
});

test.each([
  [['nothing'], 'choose from pull, micro'],
  [['pull', '--size', '12'], 'expected a size from 1MiB on'],
  [['pull', '--rounds', '0'], 'expected a whole number from 1 to 100'],
  [['pull', '--workers', 'two'], 'expected a whole number from 1 to 64'],
  [['pull', '--rate', '5'], 'expected a rate'],
  [['pull', '--gc-rate', '0'], 'expected a whole number from 1 to 100000'],
  [['pull', '--only', 'everything'], 'Allowed choices are'],
  [['pull', '--congestion', 'vegas'], 'Allowed choices are'],
])('%j is refused: %s', async (args, why) => {
  const error = await bench(...args).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(CommanderError);
  expect((error as Error).message).toContain(why);
});
