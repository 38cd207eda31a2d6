/** The options of `loadgen live`: parsed, checked, each error naming its option and what to change. */

import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { degreeSlack } from '../../core/swarm/limits.ts';
import { duration, rate, size, whole } from '../../harness/option-values.ts';
import { openFilesMax } from '../../platform/lifecycle/open-files.ts';
import { limitBytesPerSMin } from '../../platform/peer/limits.ts';

export const agentsMax = 20_000;
/** Of one agent beside its links: its listener, its connections to the tracker, one that is being made. */
const otherFiles = 5;
/** Of a process beside its agents: its store, its parent, its own libraries. */
const ownFiles = 200;
/** Ephemeral ports that links of one process may use: each ends in two places of this machine. */
const portsFile = '/proc/sys/net/ipv4/ip_local_port_range';

export type LiveOptions = {
  readonly agents: number;
  /** Bytes of the blob. */
  readonly size: number;
  readonly degree: number;
  readonly arriveMs: number;
  /** Slots of a process, bytes, which its agents share. */
  readonly arena: number;
  /** What an agent believes its uplink to be, bytes a second: it bounds what it has outstanding. */
  readonly uplink: number;
  /** What an agent may send to peers, and what it may receive, bytes a second each; unset: no limit. */
  readonly rate?: number | undefined;
  readonly processes: number;
  readonly limitMs: number;
  readonly json: boolean;
};

export function liveCommand(run: (options: LiveOptions) => Promise<void>): Command {
  const time = duration(0, 'a duration such as 5s');
  return new Command('live')
    .description('thousands of agents with real TCP connections on loopback, one blob to all of them')
    .addOption(new Option('--agents <n>', 'agents').argParser(whole(2, agentsMax)).default(2_600))
    .addOption(
      new Option('--size <size>', 'bytes of the blob')
        .argParser(size(2 ** 18, 'a size from 256KiB on, such as 16MiB'))
        .default(2 ** 24, '16MiB'),
    )
    .addOption(new Option('--degree <n>', 'neighbours of an agent').argParser(whole(2, 64)).default(5))
    .addOption(new Option('--arrive <time>', 'agents begin evenly over this time').argParser(time).default(0, '0'))
    .addOption(
      new Option('--arena <size>', 'memory for pieces, each process')
        .argParser(size(2 ** 24, 'a size from 16MiB on'))
        .default(2 ** 28, '256MiB'),
    )
    .addOption(
      new Option('--uplink <rate>', 'what an agent takes its uplink for; bounds what it has outstanding')
        .argParser(rate(100_000, 'a rate such as 10MB/s'))
        .default(10e6, '10MB/s'),
    )
    .addOption(
      new Option('--rate <rate>', 'limit of an agent each way (default: none)').argParser(
        rate(limitBytesPerSMin, `a rate from ${limitBytesPerSMin / 1000}kB/s on, such as 10MB/s`),
      ),
    )
    .addOption(
      new Option('--processes <n>', 'processes (0: as few as open files allow)').argParser(whole(0, 200)).default(0),
    )
    .addOption(new Option('--limit <time>', 'the run is given up after this').argParser(time).default(600_000, '10m'))
    .option('--json', 'print one JSON object as the last line', false)
    .action(async (given: { arrive: number; limit: number } & Omit<LiveOptions, 'arriveMs' | 'limitMs'>) => {
      const { arrive: arriveMs, limit: limitMs, ...rest } = given;
      await run({ ...rest, arriveMs, limitMs });
    });
}

/** How many processes it takes, or why it cannot be done and what would help. */
export function processesFor(options: LiveOptions): number | string {
  const { agents, degree } = options;
  const perAgent = 2 * (degree + degreeSlack) + otherFiles;
  const files = openFilesMax();
  const room = Math.floor((files - ownFiles) / perAgent);
  if (room < 1)
    return `an agent needs ${perAgent} open files, a process may have ${files}: raise 'ulimit -n', or lower --degree`;
  const needed = Math.ceil(agents / room);
  const [from = 0, to = 0] = readFileSync(portsFile, 'utf8').trim().split(/\s+/).map(Number);
  if (agents * 2 > to - from)
    return `${agents} agents listen on as many of the ${to - from} local ports: lower --agents, or widen net.ipv4.ip_local_port_range`;
  if (options.processes === 0) return needed;
  if (options.processes < needed)
    return `${agents} agents with ${degree} neighbours need ${needed} processes at ${files} open files each: raise --processes or 'ulimit -n', or lower --degree`;
  return options.processes;
}
