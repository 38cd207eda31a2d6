/** The options of `loadgen sim`: parsed, checked, each error naming its option. */

import { Command, InvalidArgumentError, Option } from 'commander';
import { pieceLengthFor, pieceLengthMax, pieceLengthMin } from '../../core/piece.ts';
import { defaultPolicy } from '../../core/swarm/policy.ts';
import type { PolicyConfig } from '../../core/swarm/types.ts';
import {
  duration as durationFrom,
  number,
  rate as rateFrom,
  size as sizeFrom,
  whole,
} from '../../harness/option-values.ts';
import { parseRate } from '../../platform/config/units.ts';
import { scales } from './scales.ts';

export const hostsMax = 100_000;
/** Above this many hosts the cheaper network runs unless told otherwise. */
export const exactHostsMax = 64;

export type SimOptions = {
  readonly hosts: number;
  readonly origins: number;
  readonly trackers: number;
  /** Bytes, all layers together. */
  readonly image: number;
  readonly layers: number;
  /** Distinct images; a download draws one. 1: all want the same. */
  readonly images: number;
  /** Downloads in all; each by a random host, at most one of an image per host. 0: every host once. */
  readonly downloads: number;
  /** With several images: sizes drawn between `image` and this. 0: all alike. */
  readonly imageMax: number;
  /** Bytes; 0: by the design's rule. */
  readonly piece: number;
  /** Bytes a second. */
  readonly up: number;
  readonly down: number;
  readonly originUp: number;
  /** Bytes a second at which the first origin receives the blobs from their backend; 0: every origin holds them whole. */
  readonly grow: number;
  readonly arriveMs: number;
  readonly degree: number;
  readonly readers: 'none' | 'inorder' | 'random' | 'lazy';
  /** Of the hosts, those that have a reader out of the blue. */
  readonly readerShare: number;
  /** Whether peers know wishes. */
  readonly wishes: boolean;
  readonly zones: number;
  /** Cross-zone capacity is the sum of a zone's uplinks divided by this; 0: no bottleneck. */
  readonly oversubscription: number;
  /** Hosts say which zone they are in; else they all say the same. */
  readonly locality: boolean;
  /** Every origin is in the first zone. */
  readonly originsApart: boolean;
  readonly slowFraction: number;
  readonly slowRate: number;
  /** Share of hosts that crash per minute; each comes back after 5 s. */
  readonly crashPerMinute: number;
  readonly trackersDieMs: number;
  /** Hosts disagree about the trackers: each knows one, its neighbour by number another. */
  readonly trackersApart: boolean;
  readonly latencyMs: number;
  readonly jitterMs: number;
  readonly diskWrite: number;
  readonly diskRead: number;
  readonly network: 'auto' | 'exact' | 'fast';
  readonly policy: 'shoal' | 'kraken';
  readonly target: number;
  readonly targetEnd: number;
  readonly window: number;
  readonly limitMs: number;
  /** Of scales.ts; undefined: none is asked for. */
  readonly scale: string | undefined;
  readonly seed: number;
  readonly plot: string | undefined;
  readonly trace: string | undefined;
  readonly json: boolean;
};

const rate = rateFrom(1000, 'a rate such as 300MB/s or 200Mbit/s');
const size = sizeFrom(1, 'a size such as 3GB or 128MiB');
const duration = durationFrom(0, 'a duration such as 1s or 250ms');

function piece(text: string): number {
  const bytes = size(text);
  if (bytes < pieceLengthMin || bytes > pieceLengthMax || (bytes & (bytes - 1)) !== 0)
    throw new InvalidArgumentError('expected a power of two from 256KiB to 16MiB.');
  return bytes;
}

function slow(text: string): { fraction: number; rate: number } {
  const match = /^(\d+(?:\.\d+)?)%:(.+)$/.exec(text);
  const bytesPerS = match === null ? undefined : parseRate(match[2] as string);
  const percent = Number(match?.[1]);
  if (bytesPerS === undefined || !(percent >= 0 && percent <= 100))
    throw new InvalidArgumentError('expected a share and a rate such as 5%:30MB/s.');
  return { fraction: percent / 100, rate: bytesPerS };
}

function share(text: string): number {
  const match = /^(\d+(?:\.\d+)?)%$/.exec(text);
  if (match === null || Number(match[1]) > 100) throw new InvalidArgumentError('expected a share such as 5%.');
  return Number(match[1]) / 100;
}

function crash(text: string): number {
  const match = /^(\d+(?:\.\d+)?)%\/min$/.exec(text);
  if (match === null || Number(match[1]) > 100)
    throw new InvalidArgumentError('expected a share a minute such as 2%/min.');
  return Number(match[1]) / 100;
}

/** The sub-command with its options; `run` gets them checked. */
export function simCommand(run: (options: SimOptions) => Promise<void>): Command {
  const command = new Command('sim')
    .addHelpText('after', scalesHelp())
    .description('an image to many hosts in virtual time, by the core that agents run');
  const add = (flags: string, text: string, parse: (text: string) => unknown, fallback: unknown): void => {
    command.addOption(new Option(flags, text).argParser(parse).default(fallback));
  };
  command.addOption(
    new Option(
      '--scale <name>',
      'one that Shoal promises: its options, where no others are given, and its goal',
    ).choices(Object.keys(scales)),
  );
  add('--hosts <n>', 'agents', whole(1, hostsMax), 2600);
  add('--origins <n>', 'origins', whole(1, 100), 5);
  add('--trackers <n>', 'trackers (0: none ever answers, and agents ask the origins)', whole(0, 100), 3);
  add('--image <size>', 'bytes of the image', size, 3e9);
  add('--image-max <size>', 'with --images: sizes are drawn between --image and this', size, 0);
  add('--layers <n>', 'blobs of equal size', whole(1, 100), 2);
  add('--images <n>', 'distinct images', whole(1, 100_000), 1);
  add('--downloads <n>', 'downloads in all (0: one a host)', whole(0, 10_000_000), 0);
  add('--piece <size>', 'piece length (default: by the blob’s size)', piece, 0);
  add('--up <rate>', 'uplink of an agent', rate, 300e6);
  add('--down <rate>', 'downlink of an agent', rate, 300e6);
  add('--origin-up <rate>', 'uplink of an origin (default: as an agent)', rate, 0);
  add('--grow <rate>', 'the first origin receives the blobs at this rate meanwhile, no other has them', rate, 0);
  add('--arrive <time>', 'hosts arrive evenly at random over this time', duration, 1000);
  add('--degree <n>', 'neighbours per blob', whole(2, 64), 0);
  command.addOption(
    new Option('--readers <how>', 'a reader on every host: in order, of random ranges, or of the end and then those')
      .choices(['none', 'inorder', 'random', 'lazy'])
      .default('none'),
  );
  add('--reader-share <share>', 'of the hosts, those with a random or lazy reader, e.g. 5%', share, 1);
  command.option('--no-wishes', 'peers that know no wishes');
  add('--zones <n>', 'zones, hosts spread evenly', whole(1, 64), 1);
  add('--oversubscription <n>', 'cross-zone links carry 1/n of a zone’s uplinks (0: all)', number(0, 1000), 0);
  command.option('--locality', 'hosts name their zone, so that trackers and peers go by it', false);
  command.option('--origins-apart', 'every origin is in the first zone', false);
  add('--slow <share:rate>', 'slow hosts, e.g. 5%:30MB/s', slow, { fraction: 0, rate: 0 });
  add('--crash <share>', 'hosts that crash, e.g. 2%/min; back after 5 s with what they hold', crash, 0);
  add('--trackers-die <time>', 'every tracker dies then', duration, Number.POSITIVE_INFINITY);
  command.option('--trackers-apart', 'each host knows one tracker only, and the next host another', false);
  add('--latency <time>', 'one way between hosts', duration, 0.1);
  add('--jitter <ms>', 'uniform, on top, milliseconds', number(0, 1000), 0.05);
  add('--disk-write <rate>', 'disk, writing', rate, 2e9);
  add('--disk-read <rate>', 'disk, reading (default: pieces are in the page cache)', rate, Number.POSITIVE_INFINITY);
  command.addOption(
    new Option('--network <model>', 'exact sharing, or the cheaper model')
      .choices(['auto', 'exact', 'fast'])
      .default('auto'),
  );
  command.addOption(new Option('--policy <name>', 'the swarm’s rules').choices(['shoal', 'kraken']).default('shoal'));
  add('--target <n>', 'policy: outstanding share of downlinks per uplink', number(0.5, 64), 0);
  add('--target-end <n>', 'policy: the same near the end', number(0.5, 64), 0);
  add('--window <size>', 'room for inbound pieces (an agent’s receive share)', size, 32 * 2 ** 20);
  add('--limit <time>', 'virtual time at which the run is given up', duration, 600_000);
  add('--seed <n>', 'determines everything', whole(0, 2 ** 31 - 1), 1);
  command.option('--plot <file>', 'completion curve against the bound and Kraken’s policy, SVG');
  command.option('--trace <file>', 'one JSON line per completion, crash and return');
  command.option('--json', 'print one JSON object as the last line', false);
  return command.action(async () => {
    applyScale(command);
    await run(resolve(command.opts()));
  });
}

/** What the scale has otherwise than by default, and nobody gave. */
function applyScale(command: Command): void {
  const name = command.getOptionValue('scale') as string | undefined;
  for (const [flag, text] of Object.entries(name === undefined ? {} : (scales[name]?.options ?? {}))) {
    const option = command.options.find((one) => one.long === `--${flag}`) as Option;
    const key = option.attributeName();
    if (command.getOptionValueSource(key) !== 'default') continue;
    command.setOptionValueWithSource(key, option.parseArg?.(text, undefined) ?? text, 'config');
  }
}

function scalesHelp(): string {
  const lines = Object.entries(scales).map(([name, { text, options, goal }]) => {
    const flags = Object.entries(options).map(([flag, value]) => `--${flag} ${value}`);
    return `  ${name.padEnd(8)}${text}: ${goal.text} at most ${goal.most}\n          ${flags.join(' ')}`;
  });
  return `\nScales:\n${lines.join('\n')}`;
}

type Given = Omit<
  SimOptions,
  'arriveMs' | 'slowFraction' | 'slowRate' | 'crashPerMinute' | 'trackersDieMs' | 'latencyMs' | 'jitterMs' | 'limitMs'
> & {
  arrive: number;
  slow: { fraction: number; rate: number };
  crash: number;
  trackersDie: number;
  latency: number;
  jitter: number;
  limit: number;
};

function resolve(raw: unknown): SimOptions {
  const {
    arrive,
    slow: slowHosts,
    crash: crashPerMinute,
    trackersDie,
    latency,
    jitter,
    limit,
    ...given
  } = raw as Given;
  return {
    ...given,
    originUp: given.originUp === 0 ? given.up : given.originUp,
    arriveMs: arrive,
    slowFraction: slowHosts.fraction,
    slowRate: slowHosts.rate,
    crashPerMinute,
    trackersDieMs: trackersDie,
    latencyMs: latency,
    jitterMs: jitter,
    limitMs: limit,
  };
}

/** Piece length of a layer of `bytes`. */
export function pieceLengthOf(options: SimOptions, bytes: number): number {
  return options.piece === 0 ? pieceLengthFor(bytes) : options.piece;
}

/** What a host says that its zone is. */
export function zoneNameOf({ zones, locality, originsApart, hosts }: SimOptions, host: number): string {
  const zone = host < hosts ? host % zones : originsApart ? 0 : (host - hosts) % zones;
  return zones === 1 ? '' : `z${locality ? zone : 0}`;
}

/** The swarm's policy, where the options say otherwise than an agent has it. */
export function policyOf(options: SimOptions): PolicyConfig {
  return {
    ...defaultPolicy,
    neighboursPerBlobMax: options.degree === 0 ? defaultPolicy.neighboursPerBlobMax : options.degree,
    neighboursMax: Math.max(defaultPolicy.neighboursMax, options.degree),
    wishes: options.wishes,
    uplinkTarget: options.target === 0 ? defaultPolicy.uplinkTarget : options.target,
    uplinkTargetEnd: options.targetEnd === 0 ? defaultPolicy.uplinkTargetEnd : options.targetEnd,
  };
}
