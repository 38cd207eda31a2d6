/**
 * The index over HTTP: core/contracts/index-api.ts as methods.
 *
 * Rule 1: nothing is remembered: every answer is the index's own, now. Truth wins over availability. Who asks for a tag or
 *   a manifest's record while that is being asked for waits for the next answer, with all others who came meanwhile.
 * Rule 2: the index that answered last is asked first, one that is silent last. A read that is not answered as soon as
 *   99 of 100 are is put to the next one, too. A write goes to one after the other: what two indexes did at once, a
 *   later write could find undone.
 *   Every call may be repeated. One that could undo what others wrote meanwhile has a name (core/contracts/named.ts), drawn
 *   for the call and said with each try: it is done once, and what is told of it is true. Only an index that knows no names
 *   may do it twice; where an earlier try may have been done, its no (the tag is elsewhere now, or gone) is not told as
 *   one: nobody knows.
 * Rule 3: absent is `undefined` or false; no index at all is ApiError UNAVAILABLE, which leaves as 503
 *   with Retry-After, after 2 s, or half a second where none answered the calls before it either. A write may take
 *   longer, on an index that lives: its disk may be slow, and nobody should have to guess whether it was done.
 * Rule 4: where an index says that it cannot now (503), and no other can, its own words are told: the first ones, since
 *   what it says of the same a moment later may be shorter.
 */

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, type ErrorCode } from '../../core/contracts/errors.ts';
import { type GcRules, INDEX_GC, type UselessReply } from '../../core/contracts/gc/routes.ts';
import {
  type BlobLink,
  type BlobLinkPut,
  type CatalogPage,
  type CondemnReply,
  INDEX,
  type ManifestPut,
  type ManifestRecord,
  type ReferrerList,
  type TagPage,
  type TagPut,
  type TagRecord,
  type TagVersion,
  type TagWritten,
  type UnlinkedReply,
} from '../../core/contracts/index-api.ts';
import { lastWordOf, type NamedAt } from '../../core/contracts/named.ts';
import { QUOTAS, type RoomAsked } from '../../core/contracts/quota/routes.ts';
import type { Method, Route } from '../../core/contracts/route.ts';
import type { Digest } from '../../core/digest.ts';
import type { QuotaRule } from '../../core/quota.ts';
import type { ReplicaRules } from '../../core/rendezvous/replicas.ts';
import { hedgeMs, type Members } from '../members/members.ts';
import { realClock } from '../net/clock.ts';
import { Herd } from '../tags/herd.ts';
import type { DeleteOn, PageOf, ReferrersOf } from '../tags/store.ts';
import type { CallContext } from './context.ts';
import type { HttpClient } from './http.ts';
import { impatienceMs, NoAnswer, silenceMs } from './pulse.ts';

/** Every index is asked this often, with a pause in between: long enough for one that was restarted. */
const rounds = 2;
const pauseMs = 250;

/** What the index answers where the thing is not there. */
const ABSENT: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['MANIFEST_UNKNOWN', 'BLOB_UNKNOWN']);

/** What goes along a route. */
type Call<At, Body> = { readonly at: At; readonly body?: Body; readonly ctx: CallContext };
/** One round of a call: when it ends, and what came of it so far. */
type Round = {
  readonly untilMs: number;
  readonly failures: Set<string>;
  cannot?: ApiError;
  /** Some index may have done it. */
  maybe?: true;
};
type Limit = { readonly withinMs: number } | { readonly watched: true };
/** What an index said: the answer, or its no. */
type Said<T> = { readonly from: HttpClient } & ({ readonly answer: T } | { readonly refusal: unknown });

/**
 * `version` is absent where no tag was written, or the index is of the release before. `kept`: nothing was, since a write of
 * another cluster (`as`) is not newer than that version.
 */
export type Written = { readonly version?: TagVersion | undefined; readonly kept?: true | undefined };

export class IndexClient {
  readonly #members: Members<HttpClient>;
  readonly #tags = new Herd<TagRecord | undefined>(realClock);
  readonly #manifests = new Herd<ManifestRecord | undefined>(realClock);
  readonly #only: NamedAt | undefined;
  /** The one that answered last. */
  #first: HttpClient | undefined;

  /**
   * The indexes, which share their state. `write`: the client is for that one write, whose name its caller has drawn, and says
   * again (with `again`) where nobody could tell what came of it: so it comes to know.
   */
  constructor(members: Members<HttpClient>, write?: NamedAt) {
    this.#members = members;
    this.#only = write;
  }

  tag(repo: string, tag: string, ctx: CallContext): Promise<TagRecord | undefined> {
    const ask = (shared: CallContext) => this.#find(INDEX.tag, { at: { name: repo, tag }, ctx: shared });
    return together(this.#tags, `${repo} ${tag}`, { ask, ctx });
  }

  /**
   * Undefined: the repository does not hold that manifest. With `after`, throws TAG_CHANGED where the tag was written
   * since, with TagChanged in `detail`.
   */
  putTag(repo: string, tag: string, put: TagPut, ctx: CallContext): Promise<Written | undefined> {
    return this.#written(INDEX.putTag, { at: { name: repo, tag, ...this.#named() }, body: put, ctx });
  }

  /**
   * Only at that version, where it is given: else TAG_CHANGED; or as another cluster has deleted it. Undefined: there is no
   * such tag.
   */
  deleteTag(repo: string, tag: string, ctx: CallContext, on?: DeleteOn): Promise<Written | undefined> {
    const at = { name: repo, tag, ...this.#named() };
    if (on === undefined) return this.#written(INDEX.deleteTag, { at, ctx });
    if (typeof on === 'object') return this.#written(INDEX.deleteTagAs, { at: { ...at, version: on.as }, ctx });
    return this.#written(INDEX.deleteTagAt, { at: { ...at, version: on }, ctx });
  }

  /** Throws NAME_UNKNOWN where there is no such repository. */
  tags(repo: string, page: PageOf, ctx: CallContext): Promise<TagPage> {
    return this.#call(INDEX.tags, { at: { name: repo, ...page }, ctx });
  }

  manifest(repo: string, digest: Digest, ctx: CallContext): Promise<ManifestRecord | undefined> {
    const ask = (shared: CallContext) => this.#find(INDEX.manifest, { at: { name: repo, digest }, ctx: shared });
    return together(this.#manifests, `${repo} ${digest}`, { ask, ctx });
  }

  /**
   * Throws MANIFEST_BLOB_UNKNOWN, with MissingReferences in `detail`, BLOB_CONDEMNED, or TAG_CHANGED (as putTag); then
   * nothing has changed.
   */
  async putManifest(repo: string, digest: Digest, put: ManifestPut, ctx: CallContext): Promise<Written> {
    const at = { name: repo, digest, ...this.#named() };
    return (await this.#call(INDEX.putManifest, { at, body: put, ctx })) ?? {};
  }

  /** With every tag on it. */
  deleteManifest(repo: string, digest: Digest, ctx: CallContext, as?: TagVersion): Promise<boolean> {
    const at = { name: repo, digest, ...this.#named() };
    if (as === undefined) return this.#done(INDEX.deleteManifest, { at, ctx });
    return this.#done(INDEX.deleteManifestAs, { at: { ...at, version: as }, ctx });
  }

  referrers(repo: string, digest: Digest, of: ReferrersOf, ctx: CallContext): Promise<ReferrerList> {
    return this.#call(INDEX.referrers, { at: { name: repo, digest, ...of }, ctx });
  }

  blob(repo: string, digest: Digest, ctx: CallContext): Promise<BlobLink | undefined> {
    return this.#find(INDEX.blob, { at: { name: repo, digest }, ctx });
  }

  /** Throws BLOB_CONDEMNED, with Unproved in `detail`; then nothing has changed. Without a name: docs/index.md says why. */
  async linkBlob(repo: string, digest: Digest, put: BlobLinkPut, ctx: CallContext): Promise<void> {
    await this.#call(INDEX.linkBlob, { at: { name: repo, digest }, body: put, ctx });
  }

  /** What repositories may hold; undefined: the index knows nothing of that. */
  async quotas(ctx: CallContext): Promise<readonly QuotaRule[] | undefined> {
    return (await this.#unlessBefore(this.#call(QUOTAS.rules, { at: {}, ctx })))?.quotas;
  }

  /** Throws DENIED, as a link would, where a quota has no room for such a blob. */
  async room(of: RoomAsked, ctx: CallContext): Promise<void> {
    await this.#unlessBefore(this.#call(QUOTAS.room, { at: of, ctx }));
  }

  unlinkBlob(repo: string, digest: Digest, ctx: CallContext): Promise<boolean> {
    return this.#done(INDEX.unlinkBlob, { at: { name: repo, digest, ...this.#named() }, ctx });
  }

  /** Links what `from` holds; undefined where it does not. */
  mount(repo: string, digest: Digest, from: string, ctx: CallContext): Promise<BlobLink | undefined> {
    return this.#find(INDEX.mount, { at: { name: repo, digest }, body: { from }, ctx });
  }

  catalog(page: PageOf, ctx: CallContext): Promise<CatalogPage> {
    return this.#call(INDEX.catalog, { at: page, ctx });
  }

  /** Repositories that have the digest, as a blob or as a manifest. */
  holders(digest: Digest, page: PageOf, ctx: CallContext): Promise<CatalogPage> {
    return this.#call(INDEX.holders, { at: { digest, ...page }, ctx });
  }

  /** Which of these (at most condemnMax) an origin may remove now, since nothing links to them. */
  condemn(digests: readonly Digest[], ctx: CallContext): Promise<CondemnReply> {
    return this.#call(INDEX.condemn, { at: {}, body: { digests }, ctx });
  }

  /** Which of these (at most unlinkedMax) nothing links to now; nothing changes by it. */
  unlinked(digests: readonly Digest[], ctx: CallContext): Promise<UnlinkedReply> {
    return this.#call(INDEX.unlinked, { at: {}, body: { digests }, ctx });
  }

  /** How what nobody needs goes by itself; undefined: the index knows nothing of that. */
  gcRules(ctx: CallContext): Promise<GcRules | undefined> {
    return this.#unlessBefore(this.#call(INDEX_GC.rules, { at: {}, ctx }));
  }

  /** As `condemn`, of what may go by itself. */
  gcCondemn(digests: readonly Digest[], ctx: CallContext): Promise<CondemnReply> {
    return this.#call(INDEX_GC.condemn, { at: {}, body: { digests }, ctx });
  }

  /** Which of these would; nothing changes by it. */
  useless(digests: readonly Digest[], ctx: CallContext): Promise<UselessReply> {
    return this.#call(INDEX_GC.useless, { at: {}, body: { digests }, ctx });
  }

  /** Which database it is. Throws UNAVAILABLE of an index of a release that does not say. */
  async identity(ctx: CallContext): Promise<string> {
    const told = await this.#unlessBefore(this.unlinked([], ctx));
    if (told !== undefined) return told.index;
    throw new ApiError('UNAVAILABLE', 'the index is of a release before, and does not say which cluster it is of');
  }

  /** How many origins are to hold each of these (at most replicasAskedMax); 0: the index does not say. */
  async replicas(digests: readonly Digest[], ctx: CallContext): Promise<readonly number[]> {
    const told = await this.#unlessBefore(this.#call(INDEX.replicas, { at: {}, body: { digests }, ctx }));
    return told?.replicas ?? digests.map(() => 0);
  }

  /** The rules of that; undefined: the index has none. */
  async replicaRules(ctx: CallContext): Promise<ReplicaRules | undefined> {
    const told = await this.#unlessBefore(this.#call(INDEX.replicaRules, { at: {}, ctx }));
    return told?.default === 0 ? undefined : told;
  }

  /** Undefined from an index of a release that does not know the question. */
  async #unlessBefore<R>(asked: Promise<R>): Promise<R | undefined> {
    try {
      return await asked;
    } catch (error) {
      if (error instanceof ApiError && error.code === 'NOT_FOUND') return undefined;
      throw error;
    }
  }

  /** Of one call. */
  #named(): NamedAt {
    return this.#only ?? { write: randomBytes(16).toString('hex') };
  }

  async #find<A, B, R>(route: Route<A, B, R>, call: Call<A, B>): Promise<R | undefined> {
    try {
      return await this.#call(route, call);
    } catch (error) {
      if (absent(error)) return undefined;
      throw error;
    }
  }

  async #written<A, B>(route: Route<A, B, TagWritten | undefined>, call: Call<A, B>): Promise<Written | undefined> {
    try {
      return (await this.#call(route, call)) ?? {};
    } catch (error) {
      if (absent(error)) return undefined;
      throw error;
    }
  }

  async #done<A, B, R>(route: Route<A, B, R>, call: Call<A, B>): Promise<boolean> {
    try {
      await this.#call(route, call);
      return true;
    } catch (error) {
      if (absent(error)) return false;
      throw error;
    }
  }

  async #call<A, B, R>(route: Route<A, B, R>, { at, body, ctx: given }: Call<A, B>): Promise<R> {
    // Who is silent since long is given a chance, not the time that others have.
    const limitMs = this.#members.silent ? impatienceMs : silenceMs;
    const round: Round = { untilMs: performance.now() + limitMs, failures: new Set() };
    if (this.#only?.again === true) round.maybe = true;
    for (let i = 0; i < rounds; i++) {
      if (i > 0) await pause(given.signal);
      const ask = (client: HttpClient, signal: AbortSignal | undefined, limit: Limit): Promise<Said<R>> =>
        said(client, async () => {
          const ctx = signal === undefined ? given : given.withSignal(signal);
          // Routes that take no name know no `again`.
          const path = route.path({ ...at, again: round.maybe });
          const answer = await client.json<unknown>(route.method, path, { body, ...limit, ctx, tries: 1 });
          return route.reply(answer, client.base);
        });
      const found = route.method === 'GET' ? await this.#read(ask, given, round) : await this.#write(ask, given, round);
      if (found !== undefined) {
        this.#first = found.from;
        if ('refusal' in found) throw ofUs(found.refusal, route.method, round) ?? found.refusal;
        return found.answer;
      }
      if (round.untilMs - performance.now() < pauseMs) break;
    }
    if (round.cannot !== undefined) throw round.cannot;
    throw new ApiError('UNAVAILABLE', `no index answers: ${[...round.failures].join('; ')}`);
  }

  async #read<T>(
    ask: (client: HttpClient, signal: AbortSignal, limit: Limit) => Promise<Said<T>>,
    { signal }: CallContext,
    round: Round,
  ): Promise<Said<T> | undefined> {
    const found = await this.#members.first(
      this.#order(),
      (client, stop) => ask(client, stop, { withinMs: round.untilMs - performance.now() }),
      signal,
    );
    if (found.kind === 'answer') return found.answer;
    for (const error of found.failures) note(error, round);
    return undefined;
  }

  async #write<T>(
    ask: (client: HttpClient, signal: AbortSignal | undefined, limit: Limit) => Promise<Said<T>>,
    { signal }: CallContext,
    round: Round,
  ): Promise<Said<T> | undefined> {
    const order = this.#order();
    // So that it is known by then, whether they hang as well.
    const late = setTimeout(() => doubt(order.slice(1)), hedgeMs);
    try {
      for (const client of order) {
        const limit: Limit = client.pulse.silent ? { withinMs: impatienceMs } : { watched: true };
        try {
          return await ask(client, signal, limit);
        } catch (error) {
          note(error, round);
        }
      }
      return undefined;
    } finally {
      clearTimeout(late);
    }
  }

  /** The one that answered last first, those last that do not answer. */
  #order(): HttpClient[] {
    const rank = (client: HttpClient): number => (client.pulse.well ? (client === this.#first ? 0 : 1) : 2);
    return this.#members.all.toSorted((a, b) => rank(a) - rank(b));
  }
}

/** One question for all who ask it meanwhile: each of them ends by its own context, the question when all have left. */
function together<T>(
  herd: Herd<T>,
  key: string,
  { ask, ctx }: { readonly ask: (shared: CallContext) => Promise<T>; readonly ctx: CallContext },
): Promise<T> {
  return herd.read(key, (signal) => ask(ctx.detached().withSignal(signal)), ctx.signal);
}

/** No is an answer as well; silence, and a 503, are none: another index may know. */
async function said<T>(from: HttpClient, ask: () => Promise<T>): Promise<Said<T>> {
  try {
    return { from, answer: await ask() };
  } catch (error) {
    if (!(error instanceof ApiError) || error.code === 'UNAVAILABLE') throw error;
    return { from, refusal: error };
  }
}

function doubt(clients: readonly HttpClient[]): void {
  for (const { pulse } of clients) pulse.doubt();
}

function note(error: unknown, round: Round): void {
  if (!(error instanceof ApiError)) throw error;
  if (!(error instanceof NoAnswer)) round.cannot ??= error;
  if (!(error instanceof NoAnswer && error.unsent)) round.maybe = true;
  round.failures.add(error.message);
}

/** Where the no may be due to an earlier try of the same write: what its caller is told instead. */
function ofUs(refusal: unknown, method: Method, { maybe, failures }: Round): ApiError | undefined {
  if (maybe === undefined || !(refusal instanceof ApiError)) return undefined;
  const last = lastWordOf(refusal);
  if (last !== undefined) return last;
  if (refusal.code !== 'TAG_CHANGED' && !(method === 'DELETE' && absent(refusal))) return undefined;
  const why = `${[...failures].join('; ')}; another one answers: ${refusal.message}`;
  return new ApiError('UNAVAILABLE', `whether this write was done is not known, read what is there now: ${why}`);
}

/** What is there and broken (BrokenTag) is told as the index told it. */
function absent(error: unknown): boolean {
  return error instanceof ApiError && ABSENT.has(error.code) && error.detail === undefined;
}

async function pause(signal: AbortSignal | undefined): Promise<void> {
  await sleep(pauseMs * (0.5 + Math.random()), undefined, signal === undefined ? {} : { signal }).catch(() => {
    throw signal?.reason;
  });
}
