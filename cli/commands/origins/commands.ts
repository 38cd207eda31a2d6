/** The sub-commands of `shoal origin`, as commander knows them. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { evictDigestsMax } from '../../../core/contracts/origin-admin.ts';
import { type Digest, parseDigest } from '../../../core/digest.ts';
import { parseSize } from '../../../platform/config/units.ts';
import { StartError } from '../../../platform/lifecycle/errors.ts';
import type { HttpTransport } from '../../../platform/net/http.ts';
import { HELP } from '../../help.ts';
import { blobStatus, type EvictTarget, evictBlobs, listBlobs, type OriginOptions, verifyBlobs } from './blobs.ts';
import { drainOrigin, repairStatus } from './healing.ts';
import { changeQueue, listQueue, type QueueShown } from './queue.ts';
import { originStatus } from './status.ts';

/** What main.ts lends: how a command is run, an option that is a URL, and where lines go. */
export type Commanding = {
  readonly finishing: (act: (signal: AbortSignal) => Promise<void>) => Promise<void>;
  readonly stoppable: (act: (signal: AbortSignal) => Promise<void>) => Promise<void>;
  readonly url: (example: string) => (text: string) => string;
  readonly say: (line: string) => void;
  /** How components are reached. Default: TCP. */
  readonly transport?: HttpTransport | undefined;
};
type Adding = (name: string, description: string) => Command;
type OptionsOf = (given: Given, signal: AbortSignal) => OriginOptions;
type Given = { readonly origin: string; readonly json?: boolean };

/** Where `shoal up` puts its one. */
const originDefault = 'http://127.0.0.1:15002';

export function addOriginCommands(role: Command, commanding: Commanding): void {
  const { finishing, stoppable, url, say, transport } = commanding;
  const below =
    (parent: Command): Adding =>
    (name, description) =>
      parent
        .command(name)
        .description(description)
        .addOption(
          new Option('--origin <url>', 'the API of the origin to ask')
            .argParser(url(originDefault))
            .default(originDefault)
            .env('SHOAL_ORIGIN'),
        )
        .option('--json', 'JSON in place of text')
        .addHelpText('after', HELP.origin);
  const of: OptionsOf = ({ origin, json = false }, signal) => ({
    ...{ origin: { base: origin, transport }, json, signal },
    screen: process.stderr,
  });
  const add = below(role);

  add('ls', 'the blobs that are there: digest, state, bytes').action((given: Given) =>
    stoppable((signal) => listBlobs(of(given, signal), say)),
  );
  add('status', 'the volumes that its blobs lie on, and how they are').action((given: Given) =>
    stoppable(async (signal) => say(await originStatus(of(given, signal)))),
  );
  add('repair', 'what it lacks of what it should hold, and how far it is with fetching that')
    .option('--now', 'has it compare with the others at once')
    .action(({ now = false, ...given }: Given & { readonly now?: boolean }) =>
      stoppable(async (signal) => say(await repairStatus(now, of(given, signal)))),
    );
  add('drain', 'moves what only it holds to others, takes nothing new, and says when it may be switched off')
    .option('--cancel', 'calls that off')
    .option('--show', 'only tells how far it is')
    .option('--wait', 'until it may be switched off')
    .action(
      ({
        cancel = false,
        show = false,
        wait = false,
        ...given
      }: Given & Partial<Record<'cancel' | 'show' | 'wait', boolean>>) => {
        if (cancel && (show || wait)) throw new StartError('--cancel goes with neither --show nor --wait');
        return stoppable(async (signal) => say(await drainOrigin({ cancel, show, wait }, of(given, signal))));
      },
    );
  add('stat', 'what is there of one blob, and whose it is')
    .argument('<digest>', 'sha256:…', digestOption)
    .action((digest: Digest, given: Given) =>
      stoppable(async (signal) => say(await blobStatus(digest, of(given, signal)))),
    );
  add('verify', 'reads blobs back from the disk and compares them with their digests')
    .argument('[digests...]', 'default: all that are whole', digestsOption)
    .action((digests: readonly Digest[], given: Given) =>
      finishing((signal) => verifyBlobs(digests, of(given, signal), say)),
    );
  add('evict', 'removes blobs that can be had again, or that nobody needs')
    .argument('[digests...]', 'these', digestsOption)
    .addOption(
      new Option('--to <size>', 'or the least recently used, until so much is used: 70%, 500GB').argParser(target),
    )
    .action((digests: readonly Digest[], given: Given & { readonly to?: EvictTarget }) => {
      if (digests.length > 0 === (given.to !== undefined)) throw new StartError('give digests, or --to');
      return finishing((signal) => evictBlobs(given.to ?? digests, of(given, signal), say));
    });
  const queue = role.command('queue').description('what waits to be written to a backend');
  addQueueCommands(below(queue), commanding, of);
}

/** `add`: below `shoal origin queue`. */
function addQueueCommands(add: Adding, { finishing, stoppable, say }: Commanding, of: OptionsOf): void {
  add('ls', 'what waits, oldest first, and why it failed last')
    .option('--dead', 'only what is not tried again by itself')
    .option('--backend <name>', 'only of this backend')
    .option('--sums', 'only how much of each backend')
    .action(({ dead = false, backend, sums = false, ...given }: Given & Partial<QueueShown>) =>
      stoppable((signal) => listQueue({ dead, backend, sums }, of(given, signal), say)),
    );
  const change = (act: 'retry' | 'drop', description: string) =>
    add(act, description)
      .argument('[key]', 'one row, as ls shows it')
      .option('--all', 'all that is dead')
      .action((key: string | undefined, { all = false, ...given }: Given & { readonly all?: boolean }) => {
        if (all === (key !== undefined)) throw new StartError('give the key of a row, or --all');
        return finishing(async (signal) => say(await changeQueue(act, key, of(given, signal))));
      });
  change('retry', 'tries again what is dead, or one row at once');
  change('drop', 'gives up what is dead: it will not be written to its backend');
}

function digestOption(text: string): Digest {
  const digest = parseDigest(text);
  if (digest !== undefined) return digest;
  throw new InvalidArgumentError('Give a digest: sha256: and 64 hex digits.');
}

function digestsOption(text: string, before: readonly Digest[] = []): readonly Digest[] {
  if (before.length >= evictDigestsMax) throw new InvalidArgumentError(`Give at most ${evictDigestsMax} at a time.`);
  return [...before, digestOption(text)];
}

function target(text: string): EvictTarget {
  const percent = /^(\d{1,3})%$/.exec(text)?.[1];
  if (percent !== undefined && Number(percent) <= 100) return { toPercent: Number(percent) };
  const toBytes = parseSize(text);
  if (toBytes !== undefined) return { toBytes };
  throw new InvalidArgumentError('Give a share of the budget such as 70%, or a size such as 500GB.');
}
