/**
 * All members that a process calls, by the lists of its configuration: followed, checked, remembered and told of.
 *
 * Rule 1: nothing of DNS is loaded where no list names it.
 * Rule 2: what DNS answered last lies in `DIR/lists` of a process that has a data directory, from when that is its own
 *         (`ours`): a start while no resolver answers begins with it.
 * Rule 3: two processes of one id are told in the log when that begins and when it is over, and in readiness: it keeps
 *         the two themselves from being ready.
 */

import { join } from 'node:path';
import type { MemberRow, MembersStatus } from '../../core/contracts/members.ts';
import type { HttpClient } from '../clients/http.ts';
import { type OriginClient, type OriginsKnown, originMembers } from '../clients/origin.ts';
import type { RoleContext } from '../lifecycle/role.ts';
import { followedAs, type MembersConfig } from './config.ts';
import { httpMembers } from './http.ts';
import { fixedList, type ListedMember, type MemberList } from './list.ts';
import type { Members } from './members.ts';
import { RememberedFile } from './remembered.ts';
import { listedIn, sourceOf } from './source.ts';
import type { Member } from './types.ts';

type Context = Pick<RoleContext<{ readonly members: MembersConfig }>, 'config' | 'log' | 'metrics' | 'secure'>;
/** What a list is of. */
export type MemberRole = 'origins' | 'trackers' | 'index';
type Told = Pick<Members<Member>, 'places' | 'of' | 'health' | 'urls' | 'self' | 'doubles'>;
type Known = { readonly role: MemberRole; readonly members: Told };
type Lists = { readonly [source: string]: readonly ListedMember[] };

export class Membership implements AsyncDisposable {
  readonly #context: Context;
  readonly #rarely: boolean;
  readonly #known: Known[] = [];
  readonly #stack = new AsyncDisposableStack();
  readonly #file: RememberedFile<Lists> | undefined;
  #lists: Lists = {};
  #read: Promise<void> | undefined;
  #ours = false;
  #doubles = '';

  /** `rarely`: one of thousands, which checks whom it has to do with. `dir`: its data directory. */
  constructor(context: Context, o: { readonly rarely?: boolean; readonly dir?: string | undefined } = {}) {
    this.#context = context;
    this.#rarely = o.rarely === true;
    const { log } = context;
    if (o.dir !== undefined)
      this.#file = this.#stack.use(
        new RememberedFile({ file: join(o.dir, 'lists'), what: 'lists', usable: listsIn, log }),
      );
    this.#observe();
  }

  /** Origins: placed by the ids that they tell. */
  async origins(entries: readonly string[], known: OriginsKnown = {}): Promise<Members<OriginClient>> {
    return this.originsOf(await this.#list(entries), known);
  }

  originsOf(list: MemberList, known: OriginsKnown = {}): Members<OriginClient> {
    const transport = this.#context.secure?.calls('origin');
    const how = { ...followedAs(this.#context.config.members), rarely: this.#rarely, ids: true, transport };
    return this.#add('origins', originMembers(list, { ...how, ...known }));
  }

  /** Trackers, or an index: placed by their URLs. */
  async others(role: 'trackers' | 'index', entries: readonly string[]): Promise<Members<HttpClient>> {
    const { timing } = followedAs(this.#context.config.members);
    const transport = this.#context.secure?.calls(role === 'index' ? 'index' : 'tracker');
    return this.#add(role, httpMembers(await this.#list(entries), { timing, rarely: this.#rarely, transport }));
  }

  /** The data directory is ours now. */
  ours(): void {
    this.#ours = true;
    this.#note();
  }

  /** What keeps this process from serving, one line each: another one says to be it. */
  problems(): string[] {
    return this.#doubled((id, self) => id === self);
  }

  /** What an operator has to look at beside. */
  warnings(): string[] {
    return this.#doubled((id, self) => id !== self);
  }

  status(): MembersStatus {
    return {
      lists: this.#known.map(({ role, members }) => ({
        role,
        self: members.self,
        members: rowsOf(members),
        doubles: members.doubles.map(({ id, urls }) => ({ id, urls: [...urls] })),
      })),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  #add<M extends Member>(role: MemberRole, members: Members<M>): Members<M> {
    this.#stack.use(members);
    this.#known.push({ role, members });
    this.#stack.use(members.onChange(() => this.#tellDoubles()));
    return members;
  }

  async #list(entries: readonly string[]): Promise<MemberList> {
    if (entries.every((entry) => sourceOf(entry)?.kind === 'url')) return fixedList(entries);
    this.#read ??= this.#recall();
    await this.#read;
    const { config, log, metrics } = this.#context;
    const { DnsAsker } = await import('./dns/ask.ts');
    const { noSearch, systemSearch } = await import('./dns/search.ts');
    const { followList } = await import('./dns/followed.ts');
    const servers = config.members.resolver;
    const search = servers.length > 0 ? noSearch : await systemSearch();
    const asked = metrics.counter('member_list_questions_total', 'Questions to DNS about who is there', [
      'list',
      'result',
    ]);
    const memory = {
      read: (source: string) => this.#lists[source],
      write: (source: string, members: readonly ListedMember[]) => {
        this.#lists = { ...this.#lists, [source]: members };
        this.#note();
      },
    };
    return await followList(
      entries,
      {
        asker: new DnsAsker({ servers, search }),
        refreshMs: config.members.refresh,
        ...{ log, memory, onAsked: (list, result) => asked.inc({ list, result }) },
      },
      this.#stack,
    );
  }

  async #recall(): Promise<void> {
    this.#lists = { ...(await this.#file?.read()), ...this.#lists };
  }

  #note(): void {
    if (this.#ours && Object.keys(this.#lists).length > 0) this.#file?.write(this.#lists);
  }

  #doubled(of: (id: string, self: string | undefined) => boolean): string[] {
    return this.#known.flatMap(({ role, members }) =>
      members.doubles
        .filter(({ id }) => of(id, members.self))
        .map(({ id, urls }) => `${role}: ${urls.join(' and ')} both say to be ${id}: ${remedy}`),
    );
  }

  #tellDoubles(): void {
    const { log } = this.#context;
    const now = [...this.problems(), ...this.warnings()].join('\n');
    if (now === this.#doubles) return;
    this.#doubles = now;
    if (now === '') log.info('no two processes have one identity any more');
    else log.error({ problems: now.split('\n') }, 'two processes have one identity: they count as one');
  }

  #observe(): void {
    const { metrics } = this.#context;
    const each = (value: (row: MemberRow) => number | undefined) => () =>
      this.status().lists.flatMap(({ role, members }) =>
        members.flatMap((row) => {
          const of = row.self === true ? undefined : value(row);
          return of === undefined ? [] : [{ labels: { role, member: row.url ?? row.id ?? '' }, value: of }];
        }),
      );
    const labels = ['role', 'member'] as const;
    const up = each(({ up: is }) => (is ? 1 : 0));
    metrics.observedEach('member_up', '1: it answers; 0: it is asked last', { labels, read: up });
    const latency = each(({ latencyMs }) => latencyMs && latencyMs / 1_000);
    metrics.observedEach('member_check_seconds', 'How long its last check took', { labels, read: latency });
    metrics.observed(
      'member_doubles',
      'Identities that two processes have',
      () => this.problems().length + this.warnings().length,
    );
  }
}

const remedy = 'stop one of them, and let it begin with an empty data directory';

function rowsOf(members: Told): MemberRow[] {
  const row = (url: string | undefined, o: Partial<MemberRow>): MemberRow => {
    const member = url === undefined ? undefined : members.of(url);
    const health = url === undefined ? undefined : members.health(url);
    const up = member?.pulse.well === true && health?.up !== false;
    const { latencyMs } = health ?? {};
    return { up, ...(url !== undefined && { url }), ...(latencyMs !== undefined && { latencyMs }), ...o };
  };
  const placed = members.places.map(({ id, url, weight, draining }) =>
    row(url, { id, weight, ...(draining && { draining }), ...(id === members.self && { self: true, up: true }) }),
  );
  const at = new Set(members.places.map(({ url }) => url));
  return [...placed, ...members.urls.filter((url) => !at.has(url)).map((url) => row(url, {}))];
}

function listsIn(found: { readonly [key: string]: unknown }): Lists | undefined {
  const lists = Object.entries(found).map(([source, members]) => [source, listedIn(members)] as const);
  return lists.every(([, members]) => members !== undefined) ? (Object.fromEntries(lists) as Lists) : undefined;
}
