/**
 * `shoal index backup` and `restore`: the database of an index in SQLite copied while it runs, and put back while it does not.
 *
 * Rule: both work on files, on the index's own host; its configuration says where they are.
 */

import type { Command } from 'commander';
import * as z from 'zod';
import { loadConfig } from '../../platform/config/load.ts';
import type { Env } from '../../platform/config/yaml.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { storeShape } from '../../platform/tags/config.ts';
import { backUpTags, type Copying } from '../../platform/tags/sqlite/backup.ts';
import { tagsFile } from '../../platform/tags/sqlite/data.ts';
import type { HeldTags } from '../../platform/tags/sqlite/held.ts';
import { type Restored, restoreTags } from '../../platform/tags/sqlite/restore.ts';
import { Failure } from '../failure.ts';
import { HELP } from '../help.ts';
import type { Commanding } from './origins/commands.ts';
import { StepsLine } from './steps.ts';

const percent = 100;

type Given = { readonly config: string; readonly json?: boolean };
type Asked = Omit<Commanding, 'url'> & { readonly env: Env };

export function addBackupCommands(role: Command, { finishing, say, env }: Asked): void {
  const add = (name: string, description: string, help: string): Command =>
    role
      .command(name)
      .description(description)
      .requiredOption('-c, --config <file>', 'the configuration of the index: where its state is')
      .option('--json', 'JSON in place of text')
      .addHelpText('after', help);

  add('backup', 'copies what an index in SQLite knows into a file, while it runs', HELP.backup)
    .requiredOption('--to <file>', 'the copy')
    .action(({ config, to, json = false }: Given & { readonly to: string }) =>
      finishing(async (signal) => {
        const { data } = placeOf(config, env, 'backed up');
        const held = await copying(signal, (how) => backUpTags(tagsFile(data), to, how));
        say(json ? JSON.stringify({ file: to, ...held }) : `${to}: ${inWords(held)}`);
      }),
    );

  add('restore', 'puts a backup in the place of an index in SQLite, which does not run', HELP.restore)
    .requiredOption('--from <file>', 'the backup')
    .option('--replace', 'where an index is there already: its database is put aside')
    .action(({ config, from, replace = false, json = false }: Given & { readonly from: string; replace?: boolean }) =>
      finishing(async (signal) => {
        const { data, backed } = placeOf(config, env, 'restored');
        const asked = { from, data, replace, nowMs: Date.now() };
        const restored = await copying(signal, (how) => restoreTags({ ...asked, copying: how }));
        if (json) say(JSON.stringify(restored));
        else for (const line of restoredLines(restored, config, backed)) say(line);
      }),
    );
}

/** `backed`: whether there are backends that may hold what a backup lacks. */
function placeOf(file: string, env: Env, done: string): { readonly data: string; readonly backed: boolean } {
  const schema = z.looseObject({
    ...storeShape,
    role: z.literal('index'),
    backends: z.array(z.unknown()).prefault([]),
  });
  const { store, data, backends } = loadConfig({ file, env, schema }).config;
  if (store.kind === 'sqlite') return { data, backed: backends.length > 0 };
  const how =
    store.kind === 'postgres' ? "the database's own tools do that (pg_dump)" : 'keep versions of its objects there';
  throw new StartError(`${file}: the store is of kind ${store.kind}, which is not ${done} by this: ${how}`);
}

async function copying<T>(signal: AbortSignal, copy: (how: Copying) => Promise<T>): Promise<T> {
  const shown = new StepsLine(process.stderr);
  const progress = (done: number, all: number): void =>
    shown.draw(`${Math.floor((percent * done) / Math.max(all, 1))} % copied`);
  try {
    return await copy({ signal, progress });
  } catch (error) {
    // Of SQLite: no room, a disk that fails.
    if (error instanceof Error && 'errcode' in error) throw new Failure(`nothing was copied: ${error.message}`);
    throw error;
  } finally {
    shown.clear();
  }
}

function restoredLines({ file, aside, ...held }: Restored, config: string, backed: boolean): string[] {
  return [
    `${file}: ${inWords(held)}`,
    ...(aside === undefined ? [] : [`what was there is ${aside} now`]),
    ...(backed
      ? [
          `what was written since the backup is not in it. Start the index, then: shoal reconcile --config ${config} says what its backends have of that, and --apply brings it`,
          'until that is done origins remove nothing by its word',
        ]
      : [
          'what was written since the backup is not in it, and it has no backend to be found in: start the index, push it again, then: shoal index trust',
          'until that is said origins remove nothing by its word',
        ]),
  ];
}

function inWords({ repositories, tags, manifests }: HeldTags): string {
  return `${repositories} repositories, ${manifests} manifests, ${tags} tags`;
}
