/**
 * The command line of `npm run bench`: which benchmarks, in which size, and what is printed.
 *
 * Without a name every benchmark runs in its small size. The last line with --json is one JSON object.
 */

import { Command, InvalidArgumentError, Option } from 'commander';
import { BenchError } from '../harness/error.ts';
import { machineOf } from '../harness/machine.ts';
import { rate, size, whole } from '../harness/option-values.ts';
import { loadAverage } from '../harness/proc.ts';
import { profileText, readProfiles } from '../harness/profile.ts';
import { type Figures, tableOf } from '../harness/report.ts';
import { benchGc } from './gc/bench.ts';
import { fullGc, smallGc } from './gc/sizes.ts';
import { benchHostile } from './hostile/bench.ts';
import { benchLinks } from './links/bench.ts';
import type { Congestion } from './links/network.ts';
import { benchMicro } from './micro/bench.ts';
import { benchPull, benchPullTls, type Measure, measures } from './pull/bench.ts';
import { PullSetup, profileFlags } from './pull/setup.ts';
import { fullSizes, smallSizes } from './pull/sizes.ts';
import { benchRepair } from './repair/bench.ts';
import { benchStorage, type StorageMeasure, storageMeasures } from './storage/bench.ts';
import { fullStorage, smallStorage } from './storage/sizes.ts';
import { benchStore } from './store/bench.ts';
import { fullStore, smallStore } from './store/sizes.ts';

export type Given = {
  readonly json: boolean;
  readonly small: boolean;
  readonly size?: number;
  readonly rounds?: number;
  readonly only?: (Measure | StorageMeasure)[];
  readonly tls?: boolean;
  readonly arena?: string;
  readonly workers?: number;
  readonly profile?: string;
  readonly dir?: string;
  readonly agents?: number;
  readonly blobs?: number;
  readonly rate?: number;
  readonly gcRate?: number;
  readonly congestion?: Congestion | 'both';
};

export type Benchmarks = Readonly<Record<string, (given: Given) => Promise<Figures>>>;

export const BENCHMARKS: Benchmarks = {
  micro: (given) => benchMicro(given.small),
  pull: (given) =>
    given.tls === true
      ? benchPullTls(
          pullSetup(given),
          measures.filter((one) => given.only?.includes(one)),
        )
      : benchPull(pullSetup(given), chosen(measures, given)),
  links: (given) =>
    benchLinks({
      agents: given.agents ?? (given.small ? 6 : 12),
      bytes: given.size ?? (given.small ? 16 : 128) * 2 ** 20,
      bytesPerS: given.rate ?? linkBytesPerS,
      queueMs: linkQueueMs,
      congestions: congestionsOf(given),
      rounds: given.rounds ?? (given.small ? 1 : 3),
      pauseMs: given.small ? 0 : linkPauseMs,
      nodeFlags: profileFlags(given.profile),
    }),
  hostile: (given) =>
    benchHostile({
      bytes: given.size ?? (given.small ? 256 : 2048) * 2 ** 20,
      rounds: given.rounds ?? (given.small ? 1 : 5),
      nodeFlags: profileFlags(given.profile),
    }),
  gc: (given) => {
    const base = given.small ? smallGc : fullGc;
    const { blobs = base.blobs, rounds = base.rounds, gcRate = base.rate } = given;
    return benchGc({ ...base, blobs, rounds, rate: gcRate });
  },
  repair: (given) =>
    benchRepair({ bytes: given.size ?? (given.small ? 96 : 2048) * 2 ** 20, seconds: given.small ? 6 : 30 }),
  store: (given) => {
    const base = given.small ? smallStore : fullStore;
    return benchStore({ ...base, blobs: given.blobs ?? base.blobs });
  },
  storage: (given) => {
    const base = given.small ? smallStorage : fullStorage;
    const sizes = { ...base, blob: given.size ?? base.blob, rounds: given.rounds ?? base.rounds };
    return benchStorage(sizes, chosen(storageMeasures, given));
  },
};

/** Those of a benchmark's measures that were asked for; all where none of them was. */
function chosen<M extends string>(all: readonly M[], { only = [] }: Given): readonly M[] {
  const some = all.filter((measure) => only.some((one) => one === measure));
  return some.length === 0 ? all : some;
}

/** 200 Mbit/s both ways. */
const linkBytesPerS = 25_000_000;
const linkQueueMs = 50;
/** Until agents have closed their links, looked after every quarter of a second. */
const linkPauseMs = 17_000;

function congestionsOf({ congestion, small }: Given): readonly Congestion[] {
  if (congestion === undefined) return small ? ['reno'] : ['reno', 'bbr'];
  return congestion === 'both' ? ['reno', 'bbr'] : [congestion];
}

function pullSetup(given: Given): PullSetup {
  const base = given.small ? smallSizes : fullSizes;
  const bytes = given.size;
  const asked = bytes === undefined ? {} : { blob: bytes, read: bytes, ten: bytes };
  const sizes = { ...base, ...asked, rounds: given.rounds ?? base.rounds };
  return new PullSetup(sizes, { arena: given.arena, workers: given.workers, profile: given.profile, dir: given.dir });
}

/** `print` takes what goes to standard output. */
export function benchCommand(benchmarks: Benchmarks, print: (text: string) => void): Command {
  const names = Object.keys(benchmarks);
  return new Command('bench')
    .description('measures Shoal: goals, non-goals and commands are in bench/README.md')
    .argument('[name]', `one of ${names.join(', ')}; without it all of them, in their small size`, oneOf(names))
    .option('--json', 'print one JSON object as the last line', false)
    .option('--small', 'sizes for every change instead of those of the goals', false)
    .addOption(
      new Option(
        '--size <size>',
        'pull, links, hostile, storage: bytes of the blob, of every measure but small; repair: of all blobs',
      ).argParser(bytes),
    )
    .addOption(new Option('--rounds <n>', 'pull, links, hostile, gc, storage: rounds').argParser(whole(1, 100)))
    .addOption(
      new Option('--only <measure...>', 'pull, storage: these measures only').choices([
        ...measures,
        ...storageMeasures,
      ]),
    )
    .option('--tls', 'pull: what certificates cost, against plain connections in turns; --only single or firstByte')
    .addOption(new Option('--arena <size>', 'pull: memory.arena of agents and origin').argParser(sizeText))
    .option('--dir <dir>', 'pull: files lie there, on a file system of any kind, and not in memory')
    .addOption(new Option('--workers <n>', 'pull: worker threads of agents and origin').argParser(whole(1, 64)))
    .addOption(new Option('--agents <n>', 'links: agents').argParser(whole(1, 60)))
    .addOption(
      new Option('--blobs <n>', 'store: blobs of the store that is started; gc: of the origin').argParser(
        whole(1, 5_000_000),
      ),
    )
    .addOption(new Option('--gc-rate <n>', 'gc: gc.rate, blobs in a second').argParser(whole(1, 100_000)))
    .addOption(
      new Option('--rate <rate>', 'links: of every link, both ways').argParser(
        rate(100_000, 'a rate from 1Mbit/s on, such as 200Mbit/s'),
      ),
    )
    .addOption(
      new Option('--congestion <name>', 'links: TCP congestion control').choices(['both', 'reno', 'bbr', 'cubic']),
    )
    .option('--profile <dir>', 'pull, links, hostile: CPU profiles of an agent go there; the top ten are printed')
    .action(async (name: string | undefined, given: Given) => {
      process.exitCode = await runAll(
        name === undefined ? names : [name],
        { benchmarks, print },
        {
          ...given,
          small: given.small || name === undefined,
        },
      );
    });
}

type Runner = { readonly benchmarks: Benchmarks; readonly print: (text: string) => void };

async function runAll(names: readonly string[], { benchmarks, print }: Runner, given: Given): Promise<number> {
  const results: Record<string, Figures> = {};
  const loadBefore = loadAverage();
  try {
    for (const name of names) {
      results[name] = (await benchmarks[name]?.(given)) ?? {};
      print(`${tableOf(name, results[name])}\n`);
    }
    if (given.profile !== undefined) print(`${profileText(readProfiles(given.profile))}\n`);
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    process.stderr.write(`bench: ${error.message}\n`);
    return 2;
  }
  const machine = { small: given.small, loadBefore, ...machineOf() };
  const { cpu, cores, blake3GBps } = machine;
  const size = given.small ? 'small size' : 'full size';
  print(`${size}, load average before ${loadBefore}; ${cores} x ${cpu}, BLAKE3 ${blake3GBps} GB/s a core\n`);
  const only = names.length === 1 ? results[names[0] as string] : results;
  if (given.json) print(`${JSON.stringify({ ...only, ...machine })}\n`);
  return 0;
}

function oneOf(names: readonly string[]): (text: string) => string {
  return (text) => {
    if (names.includes(text)) return text;
    throw new InvalidArgumentError(`choose from ${names.join(', ')}.`);
  };
}

const bytes = size(2 ** 20, 'a size from 1MiB on, such as 4GiB');

function sizeText(text: string): string {
  bytes(text);
  return text;
}
