/** `shoal replicate status|retry|backfill|diff`: what an index sends to other clusters, what lacks there, and once more. */

import type { Command } from 'commander';
import { ApiError } from '../../core/contracts/errors.ts';
import { QUEUE } from '../../core/contracts/queue.ts';
import {
  type DiffReply,
  REPLICATE,
  type RemoteStatus,
  type TagDifference,
} from '../../core/contracts/replicate/api.ts';
import type { Route } from '../../core/contracts/route.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { HttpClient } from '../../platform/clients/http.ts';
import { Failure } from '../failure.ts';
import { HELP } from '../help.ts';
import { ageText, foreignText } from '../ui/format.ts';
import { type AskedOfIndex, indexCommands } from './index-option.ts';
import type { Commanding } from './origins/commands.ts';

/** A step of a comparison asks the remote for each tag of some repositories. The index is pinged meanwhile. */
const stepStallMs = 300_000;

type Asking = {
  readonly index: string;
  readonly json: boolean;
  readonly signal: AbortSignal;
  readonly transport?: Commanding['transport'];
};

export function addReplicateCommands(program: Command, commanding: Commanding): void {
  const { finishing, stoppable, say, transport } = commanding;
  const replicate = program.command('replicate').description('what an index sends to other clusters and registries');
  const add = indexCommands(replicate, HELP.replicate, commanding);
  const of = ({ index, json = false }: AskedOfIndex, signal: AbortSignal): Asking => ({
    index,
    json,
    signal,
    transport,
  });

  add('status', 'each remote: what waits for it, since when, and why').action((given: AskedOfIndex) =>
    stoppable((signal) => replicationStatus(of(given, signal), say)),
  );
  add('retry', 'tries again at once what failed, dead or not: what is not dead is tried again by itself')
    .argument('[remote]', 'only what waits for this one')
    .action((remote: string | undefined, given: AskedOfIndex) =>
      finishing(async (signal) => say(await retryRemote(remote, of(given, signal)))),
    );
  add('backfill', 'sends a remote all that its rules say once more: what is there already costs a question each')
    .argument('<remote>')
    .action((remote: string, given: AskedOfIndex) =>
      finishing(async (signal) => say(await backfillRemote(remote, of(given, signal)))),
    );
  add('diff', 'compares every tag here with a remote, both ways (exit code 1 where they are not the same)')
    .argument('<remote>')
    .option('--repository <pattern>', "only these: library/app, 'team-a/**'")
    .action((remote: string, { repository, ...given }: AskedOfIndex & { readonly repository?: string }) =>
      stoppable((signal) => diffRemote({ remote, repositories: repository }, of(given, signal), say)),
    );
}

export async function replicationStatus(asking: Asking, say: (line: string) => void): Promise<void> {
  const { cluster, remotes } = await ask(asking, REPLICATE.status, undefined);
  if (asking.json) return say(JSON.stringify({ cluster, remotes }));
  for (const remote of remotes) for (const line of linesOf(remote, Date.now())) say(line);
}

/** The line that tells how many. */
export async function retryRemote(remote: string | undefined, asking: Asking): Promise<string> {
  let rows = 0;
  const { remotes } = await ask(asking, REPLICATE.status, undefined);
  const named = remotes.filter(({ name }) => remote === undefined || name === remote);
  if (named.length === 0)
    throw new Failure(`${remote} is no remote of this index: there are ${remotes.map(({ name }) => name).join(', ')}`);
  // Of one name at a time: what waits for backends is not meant.
  for (const { name } of named) rows += (await ask(asking, QUEUE.retry, { key: `@remote:${name}` })).rows;
  return asking.json ? JSON.stringify({ rows }) : `${rows} are tried again`;
}

export async function backfillRemote(remote: string, asking: Asking): Promise<string> {
  const { repositories } = await ask(asking, REPLICATE.backfill, { remote });
  return asking.json ? JSON.stringify({ repositories }) : `${repositories} repositories are queued for ${remote}`;
}

type Compared = { readonly remote: string; readonly repositories?: string | undefined };
type Sums = { repositories: number; tags: number; different: number; waiting: number; unlisted: boolean };

/** Throws Failure where anything differs. */
export async function diffRemote(what: Compared, asking: Asking, say: (line: string) => void): Promise<void> {
  const sums: Sums = { repositories: 0, tags: 0, different: 0, waiting: 0, unlisted: false };
  for (let from: string | undefined, more = true; more; ) {
    const step: DiffReply = await ask(asking, REPLICATE.diff, { ...what, from });
    for (const one of step.differences) say(asking.json ? JSON.stringify(one) : differenceText(one));
    sums.repositories += step.repositories;
    sums.tags += step.tags;
    sums.different += step.different;
    sums.waiting += step.differences.filter(({ waiting }) => waiting).length;
    sums.unlisted ||= step.unlisted;
    from = step.next;
    more = from !== undefined;
  }
  say(asking.json ? JSON.stringify({ remote: what.remote, ...sums }) : summary(what.remote, sums));
  if (sums.different > 0)
    throw new Failure(`${sums.different} of ${sums.tags} tags are not the same at ${what.remote}`);
}

async function ask<A, B, R>(
  { index, signal, transport }: Asking,
  route: Pick<Route<A, B, R>, 'method' | 'path' | 'reply'>,
  body: B,
): Promise<R> {
  await using http = new HttpClient({ base: index, transport });
  const ctx = CallContext.begin({ signal });
  // None of these has anything in its path.
  const path = route.path({} as A);
  try {
    const answer = await http.json<unknown>(route.method, path, { ctx, body, watched: true, stallMs: stepStallMs });
    return route.reply(answer, index);
  } catch (error) {
    if (!(error instanceof ApiError && error.code === 'NOT_FOUND')) throw error;
    throw new Failure(`${index} sends nothing to others: \`replicate\` of its configuration names no remote`);
  }
}

function linesOf(
  { name, url, kind, cluster, down, waiting, dead, oldestMs, causes }: RemoteStatus,
  nowMs: number,
): string[] {
  const lag = oldestMs === undefined ? 'nothing waits' : `${waiting} wait, the oldest for ${ageText(nowMs - oldestMs)}`;
  const gone = dead === 0 ? '' : `, ${dead} dead`;
  const failed = causes.map(({ cause, rows }) => `${rows} ${foreignText(cause)}`).join(', ');
  const who = kind === 'shoal' ? `shoal ${cluster?.slice(0, 12) ?? 'not asked yet'}` : kind;
  return [
    `${name}  ${foreignText(url)}  ${who}  ${down === undefined ? 'up' : 'left alone'}  ${lag}${gone}`,
    ...(failed === '' ? [] : [`  failed last: ${failed}`]),
    ...(down === undefined ? [] : [`  ${foreignText(down.message)}`]),
  ];
}

function differenceText({ repo, tag, how, here, there, waiting }: TagDifference): string {
  const place = (of: TagDifference['here']): string =>
    of === undefined ? 'nothing' : `${of.digest}${how === 'version' ? ` (${of.version ?? 'no version'})` : ''}`;
  const way = waiting ? '  on its way' : '';
  return foreignText(`${how.padEnd(8)}${repo}:${tag}  here ${place(here)}, there ${place(there)}${way}`);
}

function summary(remote: string, { repositories, tags, different, waiting, unlisted }: Sums): string {
  const same = different === 0 ? 'all the same' : `${different} differ, ${waiting} of them on their way`;
  const more = unlisted ? ` (${remote} lists no repositories: those that are only there were not looked for)` : '';
  return `${repositories} repositories, ${tags} tags: ${same}${more}`;
}
