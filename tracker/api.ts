/**
 * The tracker's HTTP interface (core/contracts/tracker.ts).
 *
 * An announce answers from memory. Blobs of which nothing is known are asked of the origins, and the
 * answer waits for that a moment: so a cold small blob arrives, whole, in one round trip. What is not
 * there by then is answered 'unavailable' and asked for again, while the lookup goes on.
 *
 * Rule 1: a slow origin never holds up answers that are known for longer than `sharedWaitMs`.
 * Rule 2: who is at a limit of its own waits for its answer: what is refused costs us as much as what is not.
 */

import { setTimeout } from 'node:timers/promises';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { assert } from '../core/assert.ts';
import { ApiError } from '../core/contracts/errors.ts';
import { inlineBytesMax } from '../core/contracts/fields.ts';
import {
  type AnnounceAnswer,
  type AnnounceReply,
  type AnnounceRequest,
  announceBytesMax,
  type Located,
  type LocatedGrowing,
  TRACKER,
  whyCharsMax,
} from '../core/contracts/tracker.ts';
import type { BlobIn, Digest } from '../core/digest.ts';
import type { Cold, Refused } from '../core/handout/types.ts';
import { sameMetainfo } from '../core/piece.ts';
import { callOf, clientOf, type Trusted } from '../platform/http/call.ts';
import { serve } from '../platform/http/serve.ts';
import type { Metrics } from '../platform/telemetry/metrics.ts';
import type { Asker, Found, Lookups } from './lookups.ts';
import { type NotOwn, ownLeave, ownWords } from './own.ts';
import { refusalText } from './refusal.ts';
import type { LeaseSharing } from './shared/sharing.ts';
import type { TrackerState } from './state.ts';
import type { OriginsTold } from './telling.ts';

/** A HEAD waits this long for the origins: less than its caller waits for us. */
const locateWaitMs = 1_500;
/** An announce that has something to answer does not wait longer than this for the rest. */
const sharedWaitMs = 50;
/** Longer than a host takes to ask again, and less than it takes us for dead. */
const refusedWaitMs = 400;

export type TrackerApi = {
  readonly state: TrackerState;
  readonly lookups: Lookups;
  /** What agents are told of the origins, who were told `before`. */
  readonly origins?: ((before: string | undefined) => OriginsTold) | undefined;
  /** How long an announce that can answer nothing yet waits. */
  readonly waitMs: number;
  /** One that has something to answer; default `sharedWaitMs`. */
  readonly sharedMs?: number | undefined;
  /** How long one that a limit refused something waits; default `refusedWaitMs`. */
  readonly refusedMs?: number | undefined;
  readonly metrics: Metrics;
  /** Who tells other trackers of it. */
  readonly sharing?: Pick<LeaseSharing, 'told' | 'left'> | undefined;
  /** Where certificates are shown: why somebody may not say that of itself. */
  readonly notOwn?: NotOwn | undefined;
  /** Who may say for whom a request is. */
  readonly trusted: Trusted;
  /** A limit kept leases of a client out. */
  readonly onRefused?: ((client: string, limit: string) => void) | undefined;
};

export function trackerRoutes(app: FastifyInstance, api: TrackerApi): void {
  const count = counters(api);
  // An announce a host and interval: at level info they would be all of the log.
  const options = { bodyLimit: announceBytesMax, logLevel: 'warn' } as const;
  const askerOf = (request: FastifyRequest): Asker => ({
    call: callOf(request),
    client: clientOf(request.raw, api.trusted),
  });
  serve(
    app,
    TRACKER.announce,
    async ({ body, request }) => {
      const own = ownWords(body, callOf(request), api.notOwn);
      count(own);
      const reply = await answerAnnounce(api, own, askerOf(request));
      if (reply.limit !== undefined) await setTimeout(api.refusedMs ?? refusedWaitMs);
      return reply;
    },
    options,
  );
  serve(
    app,
    TRACKER.leave,
    ({ body: { node }, request }) => {
      ownLeave(node, callOf(request), api.notOwn);
      api.state.tell({ kind: 'leave', node });
      api.sharing?.left(node);
    },
    options,
  );
  serve(app, TRACKER.locate, async ({ at: { digest, repo, growing }, request }) => {
    const located = await locate(api, { digest, repo }, askerOf(request));
    if ('meta' in located || growing === 1) return located;
    throw new ApiError('UNAVAILABLE', `blob ${digest} is being fetched from its backend, or is only there: try again`);
  });
}

export async function answerAnnounce(api: TrackerApi, request: AnnounceRequest, asker: Asker): Promise<AnnounceReply> {
  const out = api.state.tell({ kind: 'announce', request: believed(api, request, asker), client: asker.client });
  assert(out?.kind === 'reply', 'tracker: an announce without a reply');
  const { cold, growing } = out;
  api.sharing?.told(request, asker.client, out.reply.resync !== true);
  const reply = replyOf(api, request, { reply: out.reply, refused: out.refused, client: asker.client });
  const answers: AnnounceAnswer[] = [];
  const waiting: Cold[] = [...cold];
  const repos = new Map<Digest, string>();
  for (const { digest, repo } of request.entries) if (repo !== undefined) repos.set(digest, repo);
  let limitMs = cold.length > 0 ? api.waitMs : sharedWaitMs;
  for (const answer of reply.answers) {
    const known = api.lookups.peek(answer.digest, repos.get(answer.digest));
    // Whoever pulls it has all that we know; the origin is asked beside it.
    if (known === undefined && answer.growth !== undefined) answers.push(answer);
    else if (known === undefined) {
      // Only an origin's announcement tells of it, and anybody can say to be one: the origins are asked, but not waited
      // for long, unless it is small: then it comes whole. Neighbours are drawn anew.
      if (answer.meta !== undefined && answer.meta.length <= inlineBytesMax) limitMs = api.waitMs;
      waiting.push({ digest: answer.digest, seek: Math.max(1, answer.peers.length) });
    } else answers.push(known.inline === undefined ? answer : { ...answer, inline: known.inline });
  }
  const refreshed = refresh(
    api,
    growing.map((digest) => ({ digest, repo: repos.get(digest) })),
    asker,
  );
  if (waiting.length === 0 && refreshed === undefined) return { ...reply, answers };
  const [found, stuck = []] = await Promise.all([
    within(
      answers.length > 0 ? Math.min(limitMs, sharedWaitMs) : limitMs,
      waiting.map(({ digest }) => api.lookups.find({ digest, repo: repos.get(digest) }, asker)),
    ),
    refreshed,
  ]);
  if (refreshed !== undefined) growAnswers(api, request, { growing, answers });
  for (const why of stuck) if (why !== undefined) addWhy(answers, why);
  for (const [i, ask] of waiting.entries()) answers.push(answerOf(api, request.self.node, ask, found[i]));
  const limited = found.find((one) => one?.kind === 'unavailable' && one.limited);
  return { ...reply, answers, limit: reply.limit ?? (limited?.kind === 'unavailable' ? limited.why : undefined) };
}

/** What is told to everybody beside what the handout says. */
function replyOf(
  api: TrackerApi,
  { self, toldAs }: AnnounceRequest,
  said: { readonly reply: AnnounceReply; readonly refused: Refused | undefined; readonly client: string | undefined },
): AnnounceReply {
  // Origins know each other by configuration.
  const told = self.role === 'agent' ? api.origins?.(toldAs) : undefined;
  const reply = { ...said.reply, ...told };
  if (said.refused === undefined) return reply;
  const client = said.client ?? self.node;
  const limit = refusalText(said.refused, api.state.limits, client).slice(0, whyCharsMax);
  api.onRefused?.(client, limit);
  return { ...reply, limit };
}

/**
 * Metainfo of a blob never changes, so what contradicts what is known is a lie or a mistake, whoever told it: it is
 * left out, and the origins, whose URLs are ours, are asked. (Pullers would ban the peers that do not agree with it.)
 */
function believed(api: TrackerApi, request: AnnounceRequest, asker: Asker): AnnounceRequest {
  // An origin that wants a blob does not hold it whole any more, whatever it said before.
  if (request.self.role === 'origin') {
    for (const { digest, state } of request.entries) {
      if (state === 'want') api.lookups.doubt(digest);
      if (state === 'have') api.lookups.grown(digest);
    }
  }
  const doubted = request.entries.filter(({ digest, meta, repo }) => {
    if (meta === undefined) return false;
    const known = api.lookups.peek(digest, repo)?.meta ?? api.state.handout.metaOf(digest);
    return known !== undefined && !sameMetainfo(meta, known);
  });
  if (doubted.length === 0) return request;
  for (const { digest, repo } of doubted) void api.lookups.find({ digest, repo }, asker);
  const entries = request.entries.map((entry) => (doubted.includes(entry) ? { ...entry, meta: undefined } : entry));
  return { ...request, entries };
}

/**
 * An origin still receives them, and is asked what it knows by now, unless that is known: hosts at the edge are as far behind
 * it as the answer is old. undefined: all that is known is as good as new. Never waits for longer than `sharedWaitMs`.
 */
function refresh(
  api: TrackerApi,
  growing: readonly BlobIn[],
  asker: Asker,
): Promise<(AnnounceAnswer | undefined)[]> | undefined {
  const asked = growing.filter(({ digest }) => !api.lookups.fresh(digest));
  if (asked.length === 0) return undefined;
  // Whoever cannot go on is told why not.
  const ask = async (blob: BlobIn): Promise<AnnounceAnswer | undefined> => {
    const { digest } = blob;
    const found = await api.lookups.find(blob, asker);
    if (found.kind === 'unknown') api.state.tell({ kind: 'grows', digest, growth: undefined, origins: [] });
    else told(api, digest, found);
    return found.kind === 'unavailable' ? { digest, peers: [], error: 'unavailable', ...whyOf(found) } : undefined;
  };
  return within(api.sharedMs ?? sharedWaitMs, asked.map(ask));
}

/** Beside what is told of the blob anyway. */
function addWhy(answers: AnnounceAnswer[], stuck: AnnounceAnswer): void {
  const at = answers.findIndex(({ digest }) => digest === stuck.digest);
  const answer = answers[at];
  if (answer === undefined) answers.push(stuck);
  else answers[at] = { ...answer, why: stuck.why };
}

/** Whoever announced hears how far these are by now, if that is further than it is. */
function growAnswers(
  api: TrackerApi,
  { self, entries }: AnnounceRequest,
  { growing, answers }: { readonly growing: readonly Digest[]; readonly answers: AnnounceAnswer[] },
): void {
  for (const digest of growing) {
    const known = entries.find((entry) => entry.digest === digest)?.known;
    const out = api.state.tell({ kind: 'ask', digest, node: self.node, seek: 0, known });
    assert(out?.kind === 'answer', 'tracker: a question without an answer');
    const { meta, growth } = out.answer;
    if (meta === undefined && (growth?.known ?? 0) <= (known ?? 0)) continue;
    const at = answers.findIndex((answer) => answer.digest === digest);
    if (at < 0) answers.push(out.answer);
    else answers[at] = { ...out.answer, peers: answers[at]?.peers ?? [] };
  }
}

/** The handout hears what the origins said. */
function told(api: TrackerApi, digest: Digest, found: Found | undefined): void {
  if (found?.kind === 'known') api.state.tell({ kind: 'located', digest, meta: found.meta, origins: found.origins });
  if (found?.kind === 'growing')
    api.state.tell({ kind: 'grows', digest, growth: found.growth, origins: found.origins });
}

/** `found` is undefined where the origins have not answered yet. */
function answerOf(api: TrackerApi, node: string, ask: Cold, found: Found | undefined): AnnounceAnswer {
  const { digest, seek, known } = ask;
  told(api, digest, found);
  const out = api.state.tell({ kind: 'ask', digest, node, seek, known });
  assert(out?.kind === 'answer', 'tracker: a question without an answer');
  const { answer } = out;
  if (found?.kind === 'known') return { ...answer, meta: found.meta, inline: found.inline };
  // Whoever waits is told: what no origin and no peer has whole does not come by waiting.
  if (found?.kind === 'unknown' && !api.state.handout.heldBeside(digest, node)) return { ...answer, error: 'unknown' };
  // An origin may have announced it meanwhile, and a peer holds it.
  if (answer.meta !== undefined || answer.growth !== undefined) return answer;
  if (found?.kind === 'unknown') return { ...answer, error: 'unknown' };
  return { ...answer, error: 'unavailable', ...whyOf(found) };
}

function whyOf(found: Found | undefined): { readonly why?: string } {
  // What a limit refuses is told once for all.
  return found?.kind === 'unavailable' && found.limited !== true ? { why: found.why.slice(0, whyCharsMax) } : {};
}

export async function locate(api: TrackerApi, blob: BlobIn, asker: Asker): Promise<Located | LocatedGrowing> {
  const { digest, repo } = blob;
  const meta = api.state.handout.metaOf(digest);
  const known = api.lookups.peek(digest, repo);
  if (known !== undefined) return { digest, meta: known.meta, inline: known.inline };
  if (meta !== undefined && meta.length > inlineBytesMax) return { digest, meta };
  const [found] = await within(locateWaitMs, [api.lookups.size(blob, asker)]);
  if (found?.kind === 'known') return { digest, meta: found.meta, inline: found.inline };
  if (found?.kind === 'growing') return { digest, growth: found.growth };
  if (meta !== undefined) return { digest, meta };
  if (found?.kind === 'unknown') throw new ApiError('BLOB_UNKNOWN', `no origin holds ${digest}`);
  throw new ApiError(
    'UNAVAILABLE',
    `the origins do not answer for ${digest}: ${found?.why ?? `nothing within ${locateWaitMs} ms`}`,
  );
}

/** The results that are there within `ms`; undefined in the place of the others. */
async function within<T>(ms: number, promises: readonly Promise<T>[]): Promise<(T | undefined)[]> {
  const results = new Array<T | undefined>(promises.length).fill(undefined);
  const all = Promise.all(
    promises.map(async (promise, i) => {
      results[i] = await promise;
    }),
  );
  const limit = Promise.withResolvers<void>();
  const timer = globalThis.setTimeout(limit.resolve, ms);
  await Promise.race([all, limit.promise]);
  clearTimeout(timer);
  return [...results];
}

function counters({ state, lookups, metrics }: TrackerApi): (request: AnnounceRequest) => void {
  metrics.observed('tracker_leases', 'Leases, one per blob and node', () => state.handout.stats.leases);
  metrics.observed('tracker_nodes', 'Nodes that announced and have not gone', () => state.handout.stats.nodes);
  metrics.observed('tracker_swarms', 'Blobs that at least one node wants or holds', () => state.handout.stats.swarms);
  metrics.observed(
    'tracker_leases_refused',
    'Leases kept out by a limit, since the start',
    () => state.handout.stats.refused,
  );
  metrics.observed('tracker_clients', 'Addresses that announced and have not gone', () => state.handout.stats.clients);
  metrics.observed(
    'tracker_peers_handed_out',
    'Neighbours handed out, since the start',
    () => state.handout.stats.handedOut,
  );
  metrics.observed('tracker_lookup_bytes', 'Memory of what the origins said, bytes', () => lookups.bytes);
  const announces = metrics.counter('tracker_announces_total', 'Announce requests');
  const entries = metrics.counter('tracker_announce_entries_total', 'Blobs announced', ['state']);
  return (request) => {
    announces.inc();
    const sums = { want: 0, have: 0, gone: 0 };
    for (const { state: said } of request.entries) sums[said]++;
    for (const said of ['want', 'have', 'gone'] as const) if (sums[said] > 0) entries.inc({ state: said }, sums[said]);
  };
}
