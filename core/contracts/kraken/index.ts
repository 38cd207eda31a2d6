/**
 * The paths that Kraken's build-index has for its users, so that scripts and build tools written for it keep working.
 *
 * Rule: statuses and answers are Kraken's; where something fails, the body is an error of ours.
 */

import { inPlainDigest, inRepository } from '../fields.ts';
import { digits, listOf, optional, type Parser, record, text, whole } from '../parse.ts';
import { route } from '../route.ts';
import { inKrakenTag, truth } from './fields.ts';

/** Names in one answer; Kraken's own client asks on by `Links.next`. */
export const krakenListMax = 100_000;

export type KrakenList = {
  readonly Links: { readonly next: string; readonly self: string };
  readonly size: number;
  readonly result: readonly string[];
};

/** Of a URL of ours. */
const link = text(8_192);
const list: Parser<KrakenList> = record({
  Links: record({ next: link, self: link }),
  size: whole(krakenListMax),
  result: listOf(text(1_024, 1), krakenListMax),
});
/** `offset`: what `Links.next` of the page before says. */
const page = { limit: optional(digits(999_999_999)), offset: optional(text(1_024, 1)) };

const ofTag = { params: { tag: inKrakenTag } };
const ofTagAndDigest = { params: { ...ofTag.params, digest: inPlainDigest } };

export const KRAKEN_INDEX = {
  /** 200 once all that the tag needs is known to be here; 500 where something of it is missing, as Kraken says. */
  put: route('PUT', '/tags/:tag/digest/:digest', { ...ofTagAndDigest, query: { replicate: truth } }),
  /** 200 or 404. */
  head: route('HEAD', '/tags/:tag', ofTag),
  /** The digest as text, or 404. */
  get: route('GET', '/tags/:tag', ofTag),
  /** The tags of a repository. */
  repository: route('GET', '/repositories/:repo/tags', { params: { repo: inRepository }, query: page, reply: list }),
  /** Every `repo:tag`. */
  listAll: route('GET', '/list/', { query: page, reply: list }),
  /** Those of a repository, and of all below it; `repo/_manifests/tags`: of that one alone. */
  list: route('GET', '/list/*', {
    params: { '*': { parser: text(1_024, 1), refused: 'NAME_INVALID' } },
    query: page,
    reply: list,
  }),
  /** A tag that is there goes to the remotes that it matches: 200, whether or not there are any; 404. */
  replicate: route('POST', '/remotes/tags/:tag', ofTag),
  /** host:port of an origin of this cluster, as text. */
  origin: route('GET', '/origin', {}),
  /** What one build-index asks of its neighbours. Here all have one store: the same as `put` and `replicate`. */
  duplicatePut: route('PUT', '/internal/duplicate/tags/:tag/digest/:digest', ofTagAndDigest),
  duplicateReplicate: route('POST', '/internal/duplicate/remotes/tags/:tag/digest/:digest', ofTagAndDigest),
} as const;
