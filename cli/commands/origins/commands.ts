/** The sub-commands of `shoal origin`, as commander knows them. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { evictDigestsMax } from '../../../core/contracts/origin-admin.ts';
import { type Digest, parseDigest } from '../../../core/digest.ts';
import { parseSize } from '../../../platform/config/units.ts';
import { StartError } from '../../../platform/lifecycle/errors.ts';
import { HELP } from '../../help.ts';
import { blobStatus, type EvictTarget, evictBlobs, listBlobs, type OriginOptions, verifyBlobs } from './blobs.ts';

/** What main.ts lends: how a command is run, an option that is a URL, and where lines go. */
export type Commanding = {
  readonly finishing: (act: (signal: AbortSignal) => Promise<void>) => Promise<void>;
  readonly stoppable: (act: (signal: AbortSignal) => Promise<void>) => Promise<void>;
  readonly url: (example: string) => (text: string) => string;
  readonly say: (line: string) => void;
};
type Given = { readonly origin: string; readonly json?: boolean };

/** Where `shoal up` puts its one. */
const originDefault = 'http://127.0.0.1:15002';

export function addOriginCommands(role: Command, { finishing, stoppable, url, say }: Commanding): void {
  const add = (name: string, description: string): Command =>
    role
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
  const of = ({ origin, json = false }: Given, signal: AbortSignal): OriginOptions => ({
    origin,
    json,
    signal,
    screen: process.stderr,
  });

  add('ls', 'the blobs that are there: digest, state, bytes').action((given: Given) =>
    stoppable((signal) => listBlobs(of(given, signal), say)),
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
