/**
 * `shoal status`: whom processes of the cluster call, whether they answer, and where processes that are asked do not agree
 * about who is there, who they are and what they weigh.
 */

import { MEMBERS, type MemberRow, type MembersStatus } from '../../core/contracts/members.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { HttpClient } from '../../platform/clients/http.ts';
import type { HttpTransport } from '../../platform/net/http.ts';
import { Failure } from '../failure.ts';
import { foreignText, table } from '../ui/format.ts';

export type StatusOptions = {
  readonly urls: readonly string[];
  readonly json: boolean;
  readonly signal: AbortSignal;
  /** Default: TCP. */
  readonly transport?: HttpTransport | undefined;
};

type Told = { readonly from: string; readonly status?: MembersStatus; readonly why?: string };

const withinMs = 5_000;
/** Of an id, that people tell it apart by. */
const idChars = 12;

/** Throws Failure where one does not answer, is nobody's member any more, or they do not agree. */
export async function membersStatus(options: StatusOptions, say: (line: string) => void): Promise<void> {
  const all = await Promise.all(options.urls.map((url) => ask(url, options)));
  const wrong = [...all.flatMap(problemsOf), ...disagreements(all)];
  if (options.json) say(JSON.stringify({ asked: all, problems: wrong }));
  else {
    for (const told of all) for (const line of linesOf(told)) say(line);
    for (const line of wrong) say(foreignText(line));
  }
  if (wrong.length > 0) throw new Failure(`${wrong.length} to look at`);
}

async function ask(from: string, { signal, transport }: StatusOptions): Promise<Told> {
  await using client = new HttpClient({ base: from, transport });
  try {
    const ctx = CallContext.begin({ signal });
    const answer = await client.json('GET', MEMBERS.status.path({}), { ctx, withinMs, tries: 1 });
    return { from, status: MEMBERS.status.reply(answer, from) };
  } catch (error) {
    signal.throwIfAborted();
    return { from, why: (error as Error).message };
  }
}

function linesOf({ from, status }: Told): string[] {
  if (status === undefined) return [];
  const rows = status.lists.flatMap(({ role, members }) => members.map((row) => [role, ...cellsOf(row)]));
  return [`${from} calls`, foreignRows([['role', 'member', 'id', 'weight', 'state', 'check'], ...rows]), ''];
}

const foreignRows = (rows: readonly (readonly string[])[]): string =>
  table(rows.map((row) => row.map((cell) => foreignText(cell))));

function cellsOf({ url, id, weight, latencyMs, ...row }: MemberRow): string[] {
  const named = id === undefined || id === url ? '' : id.slice(0, idChars);
  const check = latencyMs === undefined ? '' : `${latencyMs.toFixed(1)} ms`;
  return [url ?? '(away)', named, weight === undefined ? '' : String(weight), stateOf({ url, ...row }), check];
}

function stateOf({ url, up, draining, self }: Pick<MemberRow, 'url' | 'up' | 'draining' | 'self'>): string {
  const states = [
    url === undefined && self !== true ? 'away' : up ? 'up' : 'down',
    ...(draining === true ? ['draining'] : []),
    ...(self === true ? ['itself'] : []),
  ];
  return states.join(', ');
}

/** An agent asks nobody who it is before it has to do with it: no trouble where nobody has asked. */
const unknown = ({ url, id }: MemberRow): boolean => url !== undefined && id === undefined;

/** Who was drained, and has left the list since, left as it should. */
function problemsOf({ from, status, why }: Told): string[] {
  if (status === undefined) return [`${from} does not tell: ${why}`];
  return status.lists.flatMap(({ role, members, doubles }) => [
    ...members
      .filter(({ up, self, url, draining }) => !up && self !== true && !(url === undefined && draining === true))
      .map(({ url, id }) => `${from}: ${role}: ${url ?? id} ${url === undefined ? 'is away' : 'does not answer'}`),
    ...members
      .filter((row) => unknown(row) && row.latencyMs !== undefined)
      .map(({ url }) => `${from}: ${role}: it is not known who ${url} is`),
    ...doubles.map(({ id, urls }) => `${from}: ${role}: ${urls.join(' and ')} both say to be ${id}`),
  ]);
}

/** Of origins, what some know and others do not, or know otherwise: blobs are placed by it. */
function disagreements(all: readonly Told[]): string[] {
  const views = all.flatMap(({ from, status }) => {
    const origins = status?.lists.find(({ role }) => role === 'origins');
    if (origins === undefined || origins.members.some((row) => unknown(row) && row.latencyMs === undefined)) return [];
    return [
      { from, weights: new Map(origins.members.flatMap(({ id, weight }) => (id === undefined ? [] : [[id, weight]]))) },
    ];
  });
  const ids = [...new Set(views.flatMap(({ weights }) => [...weights.keys()]))].toSorted();
  return ids.flatMap((id) => {
    const without = views.filter(({ weights }) => !weights.has(id)).map(({ from }) => from);
    const weights = [...new Set(views.flatMap((view) => view.weights.get(id) ?? []))];
    return [
      ...(without.length > 0 ? [`origin ${id} is not known to ${without.join(', ')}`] : []),
      ...(weights.length > 1 ? [`origin ${id} weighs ${weights.join(' or ')}, as who is asked`] : []),
    ];
  });
}
