/** What processes tell one another of the origins: who each is, where it is, and how much of the ring is its. */

import { zoneBytesMax } from '../wire/limits.ts';
import { node } from './fields.ts';
import { finite, flag, listOf, Malformed, oneOf, optional, type Parser, record, text } from './parse.ts';
import { route } from './route.ts';

/** Members of one role that a process knows, at most: hundreds, each of which may be asked for a blob. */
export const membersMax = 512;
/** Characters of a member's URL: a name of DNS has 255 at most, and a port, and perhaps a path follow. */
const urlCharsMax = 512;
const urlPattern = /^https?:\/\/[A-Za-z0-9._:[\]-]+(?:\/[A-Za-z0-9._~%/-]*)?$/;
/** Shares of the ring: one member may have a million times what another has. */
export const weightRange = { min: 0.001, max: 1_000 } as const;

/** Where a member of the ring is, as somebody told. */
export type ToldPlace = {
  /** 32 hex digits, kept in its data directory; of an origin of a release before, its URL. */
  readonly id: string;
  readonly url: string;
  readonly weight: number;
};

/** What an origin says of itself. */
export type OriginIdentity = {
  readonly id: string;
  /** Drawn at each start: two processes of one id are told apart by it. */
  readonly instance: string;
  readonly weight: number;
  /** It is being emptied: it owns nothing new, and is asked for what it has. */
  readonly draining?: boolean | undefined;
  readonly zone?: string | undefined;
  /** What it knows of the others: to who asked so. */
  readonly members?: readonly ToldPlace[] | undefined;
};

export function memberUrlValid(url: unknown): url is string {
  return typeof url === 'string' && url.length <= urlCharsMax && urlPattern.test(url) && URL.canParse(url);
}

const url: Parser<string> = (value) => {
  if (memberUrlValid(value)) return value;
  throw new Malformed('is no http(s) URL');
};
const id: Parser<string> = (value) => (memberUrlValid(value) ? value : node(value));
const weight: Parser<number> = (value) => {
  const given = finite(value);
  if (given >= weightRange.min && given <= weightRange.max) return given;
  throw new Malformed(`is no weight from ${weightRange.min} to ${weightRange.max}`);
};

export const toldPlaces: Parser<readonly ToldPlace[]> = listOf(record({ id, url, weight }), membersMax);

export const originIdentity: Parser<OriginIdentity> = record({
  id: node,
  instance: node,
  weight,
  draining: optional(flag),
  zone: optional(text(zoneBytesMax)),
  members: optional(toldPlaces),
});

/** What a process knows of one member. */
export type MemberRow = {
  /** Absent: its address is not known now. */
  readonly url?: string | undefined;
  /** Absent: it is not known yet who it is. Of a role without ids, its URL. */
  readonly id?: string | undefined;
  readonly weight?: number | undefined;
  /** It answers, as far as known; else it is asked last. */
  readonly up: boolean;
  /** Of the last check that was answered. */
  readonly latencyMs?: number | undefined;
  readonly draining?: boolean | undefined;
  /** The process that tells this. */
  readonly self?: boolean | undefined;
};
/** Whom a process calls, by role. */
export type MembersStatus = {
  readonly lists: readonly {
    readonly role: 'origins' | 'trackers' | 'index';
    /** The id of the process that tells this, where it is one of them. */
    readonly self?: string | undefined;
    readonly members: readonly MemberRow[];
    /** Ids that two processes have. */
    readonly doubles: readonly { readonly id: string; readonly urls: readonly string[] }[];
  }[];
};

/** Lists of one process. */
const listsMax = 8;
const wordsMax = 600;
const memberRow: Parser<MemberRow> = record({
  url: optional(url),
  id: optional(id),
  weight: optional(finite),
  up: flag,
  latencyMs: optional(finite),
  draining: optional(flag),
  self: optional(flag),
});
const membersStatus: Parser<MembersStatus> = record({
  lists: listOf(
    record({
      role: oneOf('origins', 'trackers', 'index'),
      self: optional(id),
      // Those in the list, and those that have left it and keep their place.
      members: listOf(memberRow, 2 * membersMax),
      doubles: listOf(record({ id, urls: listOf(text(wordsMax), membersMax) }), membersMax),
    }),
    listsMax,
  ),
});

export const MEMBERS = {
  /** Of any role but an index, which calls nobody. */
  status: route('GET', '/v1/members', { reply: membersStatus }),
} as const;
