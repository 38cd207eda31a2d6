/**
 * `shoal index move`: what an index knows copied into another engine, while indexes go on reading from the first.
 *
 * Rule: it works on the engines themselves. Of the index it only asks whether it takes writes.
 */

import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import * as z from 'zod';
import { ApiError } from '../../core/contracts/errors.ts';
import { backendsShape } from '../../platform/backends/config.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { IndexClient } from '../../platform/clients/index-client.ts';
import { loadConfig } from '../../platform/config/load.ts';
import type { Env } from '../../platform/config/yaml.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { httpMembers } from '../../platform/members/http.ts';
import { fixedList } from '../../platform/members/list.ts';
import { bucketProblems } from '../../platform/tags/bucket/rule.ts';
import { storeShape } from '../../platform/tags/config.ts';
import type { EntryKind } from '../../platform/tags/move/entries.ts';
import type { Moved } from '../../platform/tags/move/move.ts';
import type { MovePlace } from '../../platform/tags/move/open.ts';
import { Failure } from '../failure.ts';
import { HELP } from '../help.ts';
import type { Commanding } from './origins/commands.ts';
import { indexOfConfig, StepsLine } from './steps.ts';

/** An index that does not answer for so long hangs, and takes no write. */
const askMs = 5_000;

type Given = { readonly from: string; readonly to: string; readonly json?: boolean };
type Asked = Omit<Commanding, 'url'> & { readonly env: Env };

export function addMoveCommand(role: Command, { finishing, say, env, transport }: Asked): void {
  role
    .command('move')
    .description('copies what an index knows into another engine, while indexes go on reading from the first')
    .requiredOption(
      '--from <file>',
      'the configuration of the index as it is: it says `readOnly: true`, or the index was started with that',
    )
    .requiredOption('--to <file>', 'the configuration of the index as it is to be')
    .option('--json', 'JSON in place of text')
    .addHelpText('after', HELP.move)
    .action(({ from, to, json = false }: Given) =>
      finishing(async (signal) => {
        const source = placeOf(from, env, signal);
        const target = placeOf(to, env, signal);
        if (source.secure && transport === undefined)
          throw new StartError(
            `${from} has \`tls\`: set SHOAL_TLS, so that the index can be asked whether it takes writes`,
          );
        const answering = indexOfConfig(from, env);
        const refuses = await refusesWrites(answering, { signal, transport });
        // Where the file does not say so, the index may have been started with `--set readOnly=true`.
        if (!source.readOnly && !refuses)
          throw new StartError(
            `${from}: set \`readOnly: true\` in it, or start it with \`--set readOnly=true\`, and start each index of that store anew: what is written meanwhile would be lost`,
          );
        const moved = await move(source, target, signal);
        await refusesWrites(answering, { signal, transport });
        if (json) say(JSON.stringify(moved));
        else for (const line of movedLines(moved, to)) say(line);
      }),
    );
}

type Place = MovePlace & { readonly readOnly: boolean; readonly secure: boolean };

function placeOf(file: string, env: Env, signal: AbortSignal): Place {
  const schema = z
    .looseObject({
      ...storeShape,
      role: z.literal('index'),
      readOnly: z.boolean().prefault(false),
      backends: backendsShape(),
    })
    .superRefine(({ store, backends }, ctx) => {
      if (store.kind !== 'bucket') return;
      for (const { path, message } of bucketProblems(store.backend, backends))
        ctx.addIssue({ code: 'custom', path: [...path], message });
    });
  const { store, data, backends, readOnly, ...others } = loadConfig({ file, env, schema }).config;
  return { store, data, backends, readOnly, env, signal, secure: others['tls'] !== undefined };
}

/**
 * A tag that nobody has is removed: an index that is read only refuses that, and one that is not has nothing to do. Throws of one
 * that takes writes; false: it does not answer.
 */
async function refusesWrites(
  url: string,
  { signal, transport }: { readonly signal: AbortSignal; readonly transport: Commanding['transport'] },
): Promise<boolean> {
  await using members = httpMembers(fixedList([url]), { transport });
  const ctx = CallContext.begin({ signal: AbortSignal.any([signal, AbortSignal.timeout(askMs)]) });
  // It says that there is none, refuses, or does not answer.
  const said = await new IndexClient(members)
    .deleteTag(`shoal-move/${randomBytes(8).toString('hex')}`, 'none', ctx)
    .then(
      () => 'taken' as const,
      (error: unknown) => {
        // It says nothing of whether it takes writes.
        if (error instanceof ApiError && error.code === 'DENIED') throw error;
        return error instanceof ApiError && error.code === 'UNSUPPORTED' ? ('refused' as const) : undefined;
      },
    );
  signal.throwIfAborted();
  if (said === 'taken')
    throw new StartError(
      `the index at ${url} takes writes: start each index of that store with \`readOnly: true\`, then give the command again: it goes on`,
    );
  return said === 'refused';
}

async function move(source: MovePlace, target: MovePlace, signal: AbortSignal): Promise<Moved> {
  const [{ openMoveSource, openMoveTarget }, { moveTags }] = await Promise.all([
    import('../../platform/tags/move/open.ts'),
    import('../../platform/tags/move/move.ts'),
  ]);
  const shown = new StepsLine(process.stderr);
  const progress = (round: number, kind: EntryKind, entries: number): void =>
    shown.draw(`${round === 1 ? 'copying' : 'comparing'}: ${entries} of kind ${kind}`);
  try {
    await using from = await openMoveSource(source);
    await using to = await openMoveTarget(target, from.database);
    return await moveTags({ source: from, target: to, signal, progress });
  } catch (error) {
    // Of SQLite: no room, a disk that fails.
    if (error instanceof Error && 'errcode' in error)
      throw new Failure(`${error.message}: once that is mended give the command again: it goes on`);
    throw error;
  } finally {
    shown.clear();
  }
}

function movedLines({ entries, kept, late }: Moved, to: string): string[] {
  const { repo, manifest, tag, blob } = entries;
  const all = Object.values(entries).reduce((sum, one) => sum + one, 0);
  return [
    `${repo} repositories, ${manifest} manifests, ${tag} tags (deleted ones that are remembered included), ${blob} links of blobs`,
    `${all} entries compared, all alike${kept > 0 ? `; ${kept} were there from a move before` : ''}`,
    ...(late > 0 ? [`${late} of them were written while it ran: is each index of that store read only?`] : []),
    `stop the indexes of the old store, start them with ${to}, and never again with the old one: both are the same database now`,
  ];
}
