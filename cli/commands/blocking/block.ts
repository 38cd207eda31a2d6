/** `shoal block` and `shoal unblock`: digests that no host of the cluster gives to anybody (docs/security.md). */

import { hostname, userInfo } from 'node:os';
import type { Command } from 'commander';
import {
  type Block,
  blockByCharsMax,
  blockedMax,
  blockReason,
  blocksDocument,
  blocksIn,
} from '../../../core/contracts/documents/blocks.ts';
import { parse } from '../../../core/contracts/parse.ts';
import { type Digest, parseDigest } from '../../../core/digest.ts';
import { CallContext } from '../../../platform/clients/context.ts';
import { DocumentClient } from '../../../platform/clients/documents.ts';
import { StartError } from '../../../platform/lifecycle/errors.ts';
import { httpMembers } from '../../../platform/members/http.ts';
import { fixedList } from '../../../platform/members/list.ts';
import { Failure } from '../../failure.ts';
import { HELP } from '../../help.ts';
import { ageText, foreignText, table } from '../../ui/format.ts';
import { type AskedOfIndex, indexOption } from '../index-option.ts';
import type { Commanding } from '../origins/commands.ts';

type Asking = {
  readonly index: string;
  readonly json: boolean;
  readonly signal: AbortSignal;
  readonly transport?: Commanding['transport'];
};

export function addBlockCommands(program: Command, { finishing, stoppable, url, say, transport }: Commanding): void {
  const of = ({ index, json = false }: AskedOfIndex, signal: AbortSignal): Asking => ({
    index,
    json,
    signal,
    transport,
  });
  const asking = (command: Command): Command =>
    command
      .addOption(indexOption('the index to ask', url))
      .option('--json', 'JSON in place of text')
      .addHelpText('after', HELP.block);
  const block = asking(program.command('block').description('a digest that no host of the cluster gives any more'))
    .argument('<digest>', 'of a layer, a manifest or an index: what needs it cannot be pulled any more')
    .option('--reason <text>', 'told to whoever asks for it')
    .action((text: string, { reason, ...given }: AskedOfIndex & { readonly reason?: string }) =>
      finishing(async (signal) => say(await blockDigest(digestOf(text), reasonOf(reason), of(given, signal)))),
    );
  asking(block.command('ls').description('what is blocked, since when, by whom and why')).action(
    (own: AskedOfIndex, command: Command) => stoppable((signal) => listBlocks(of(merged(own, command), signal), say)),
  );
  asking(program.command('unblock').description('a digest that is given again'))
    .argument('<digest>')
    .action((text: string, given: AskedOfIndex) =>
      finishing(async (signal) => say(await unblockDigest(digestOf(text), of(given, signal)))),
    );
}

/** `shoal block` has the options, too: what is said before `ls` holds where it is not said behind. */
function merged(own: AskedOfIndex, command: Command): AskedOfIndex {
  const above = command.parent?.opts<AskedOfIndex>() ?? own;
  const index = command.getOptionValueSource('index') === 'default' ? above.index : own.index;
  return { index, json: own.json === true || above.json === true };
}

async function blockDigest(digest: Digest, reason: string | undefined, asking: Asking): Promise<string> {
  const block: Block = { digest, ...(reason === undefined ? {} : { reason }), sinceMs: Date.now(), by: whoAsks() };
  const { changed } = await changeBlocks(asking, (blocked) => {
    const before = blocked.find((one) => one.digest === digest);
    if (before !== undefined && (reason === undefined || before.reason === reason)) return undefined;
    if (before === undefined && blocked.length >= blockedMax)
      throw new Failure(`${blockedMax} digests are blocked, and no more can be: unblock some`);
    return [...blocked.filter((one) => one.digest !== digest), before ? { ...before, ...block } : block];
  });
  if (asking.json) return JSON.stringify({ digest, blocked: true, changed });
  return changed
    ? `${digest} is blocked: every host that hears the index stops giving it within seconds`
    : `${digest} was blocked already`;
}

async function unblockDigest(digest: Digest, asking: Asking): Promise<string> {
  const { changed } = await changeBlocks(asking, (blocked) =>
    blocked.some((one) => one.digest === digest) ? blocked.filter((one) => one.digest !== digest) : undefined,
  );
  if (asking.json) return JSON.stringify({ digest, blocked: false, changed });
  return changed ? `${digest} is given again by every host that has it` : `${digest} was not blocked`;
}

async function listBlocks(asking: Asking, say: (line: string) => void): Promise<void> {
  await using documents = documentsOf(asking);
  const blocked = blocksIn((await documents.client.read('blocks', CallContext.begin({ signal: asking.signal }))).body);
  if (asking.json) return say(JSON.stringify({ blocked }));
  if (blocked.length === 0) return say('nothing is blocked');
  const rows = blocked.map(({ digest, sinceMs, by = '', reason = '' }) => [
    digest,
    ageText(Date.now() - sinceMs),
    foreignText(by),
    foreignText(reason),
  ]);
  say(table([['digest', 'since', 'by', 'reason'], ...rows]));
}

async function changeBlocks(asking: Asking, change: (blocked: readonly Block[]) => readonly Block[] | undefined) {
  await using documents = documentsOf(asking);
  const ctx = CallContext.begin({ signal: asking.signal });
  return await documents.client.change(
    'blocks',
    (body) => {
      const next = change(blocksIn(body));
      return next && blocksDocument(next);
    },
    ctx,
  );
}

function documentsOf({ index, transport }: Asking) {
  const members = httpMembers(fixedList([index]), { transport });
  return { client: new DocumentClient(members), [Symbol.asyncDispose]: () => members[Symbol.asyncDispose]() };
}

function digestOf(text: string): Digest {
  const digest = parseDigest(text);
  if (digest !== undefined) return digest;
  throw new StartError(`"${foreignText(text)}" is no digest: write sha256: and 64 hex digits`);
}

function reasonOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const read = parse(blockReason, text, '--reason');
  if (read.ok) return read.value;
  throw new StartError(read.problem);
}

/** For those who look at the list; the index's audit log has who it really was. */
function whoAsks(): string {
  try {
    return `${userInfo().username}@${hostname()}`.slice(0, blockByCharsMax);
  } catch {
    return hostname().slice(0, blockByCharsMax);
  }
}
