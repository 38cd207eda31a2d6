/**
 * Versions of tags: which write a tag is at, and what a write may be conditional on.
 *
 * Rule 1: each write of tags, of one or of several at once, takes the next number of its database. Numbers and the
 *   database's identity order all writes there are, of whatever database: by number first.
 * Rule 2: a deleted tag leaves a tombstone with the version of its deletion: whoever wrote before it is told apart from
 *   whoever writes after it. Nobody is shown one.
 * Rule 3: the newest tombstonesMax deletions are remembered, and perhaps `forgetEvery` more; what is older is as if the
 *   tag had never been there, and the last number that was forgotten is kept.
 * Rule 4: where several databases write to one backend, numbers are milliseconds of the clock on the wall, or one more
 *   than the last where the clock is not beyond it: the later write is the newer one, as far as clocks agree, and in one
 *   database always. What is above `leadsMax` counts for its tag alone: one junk object of a backend would lead the
 *   numbers of all tags to where no number is one any more (index/backing/records.ts).
 */

import type { TagVersion } from '../../core/contracts/index-api.ts';

/** About 10 MB; an index that mirrors a busy registry deletes some thousands of tags a day. */
export const tombstonesMax = 100_000;
/** Far beyond any clock, and as far below what a record may have: others read what is written after it. */
const leadsMax = 2 ** 51;
/** Above all that a version may have: far beyond any clock, and all numbers that may follow are still exact. */
export const versionNumberMax = 2 ** 52;
/** Writes between two looks for what is too old: each one costs a walk along all of them. */
export const forgetEvery = 1_000;

/** Where a tag stands. `version`: of its last write, or of its deletion; null: nobody knows of one. */
export type TagState = { readonly there: boolean; readonly version: TagVersion | null };

/** `changed`: the tag is not where the write was to find it, but there; nothing has happened. */
export type TagOutcome = { readonly version: TagVersion } | { readonly changed: TagVersion | null };

export function tagVersion(no: number, database: string): TagVersion {
  return `${no}-${database}` as TagVersion;
}

/** Whether a write that is to come `after` a version finds the tag so. null: it finds no tag. */
export function follows(state: TagState, after: TagVersion | null | undefined): boolean {
  if (after === undefined) return true;
  return after === null ? !state.there : state.version === after;
}

export function numberOf(version: TagVersion): number {
  return Number(version.slice(0, version.indexOf('-')));
}

/** What numbers are not below once a version was seen; undefined: it is no clock's. */
export function leadOf(version: TagVersion): number | undefined {
  const no = numberOf(version);
  return no <= leadsMax ? no : undefined;
}

/** Which database the write was made in. */
export function writerOf(version: TagVersion): string {
  return version.slice(version.indexOf('-') + 1);
}

/** Of a tag that some registry wrote, which knows no versions: older than each write that has one. */
export const unversioned = tagVersion(0, '0'.repeat(32));

/** Whether what a backend says of a tag comes after what is here. Of two without versions it is what is said now. */
export function replaces(
  { digest, version }: { readonly digest: string | null; readonly version: TagVersion },
  here: { readonly digest: string | undefined; readonly version: TagVersion | null },
): boolean {
  if (version === unversioned && here.version === unversioned) return digest !== here.digest;
  return newer(version, here.version);
}

/** Whether `one` is the later write. */
export function newer(one: TagVersion, other: TagVersion | null): boolean {
  if (other === null) return true;
  const [no, than] = [numberOf(one), numberOf(other)];
  return no === than ? writerOf(one) > writerOf(other) : no > than;
}
