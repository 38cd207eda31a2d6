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
 * Rule 5: a write that was made in another cluster keeps its version, and is made only where it is newer than what is here.
 *   What is written here from then on comes after it. So clusters that tell each other of their writes have the same in the
 *   end, in whatever order they hear of them. A deletion that was forgotten (rule 3) is the one exception: a write that was
 *   made before it, and had waited elsewhere for as long as 100,000 deletions here, is made.
 */

import type { TagVersion } from '../../core/contracts/index-api.ts';

/** About 10 MB; an index that mirrors a busy registry deletes some thousands of tags a day. */
export const tombstonesMax = 100_000;
/** Far beyond any clock, and as far below what a record may have: others read what is written after it. */
const leadsMax = 2 ** 51;
/** Above all that a version may have: far beyond any clock, and all numbers that may follow are still exact. */
export const versionNumberMax = 2 ** 52;
/** A version of another cluster may be so far beyond our clock: more is no difference of clocks, but a mistake. */
const aheadMsMax = 24 * 3_600_000;
/** Writes between two looks for what is too old: each one costs a walk along all of them. */
export const forgetEvery = 1_000;

/** Where a tag stands. `version`: of its last write, or of its deletion; null: nobody knows of one. */
export type TagState = { readonly there: boolean; readonly version: TagVersion | null };

/**
 * `changed`: the tag is not where the write was to find it, but there; nothing has happened. `kept`: nor was a write that was
 * made elsewhere done, as it is not newer than that version.
 */
export type TagOutcome =
  | { readonly version: TagVersion }
  | { readonly changed: TagVersion | null }
  | { readonly kept: TagVersion };

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

/** Where a write that was made elsewhere is to be kept with its version: the one here that is as new; undefined: it is made. */
export function keptFor(
  write: { readonly digest: string | null; readonly as: TagVersion | undefined },
  here: { readonly digest: string | undefined; readonly version: TagVersion | null },
): TagVersion | undefined {
  const { digest, as } = write;
  if (as === undefined || here.version === null || replaces({ digest, version: as }, here)) return undefined;
  return here.version;
}

/** Of these tags, which are `here` in their order, those that a write sets. `kept`: it was made elsewhere, and sets none. */
export function newerAmong(
  tags: readonly string[],
  here: readonly Parameters<typeof keptFor>[1][],
  write: { readonly digest: string; readonly as: TagVersion | undefined },
): { readonly kept?: TagVersion | undefined; readonly newer: readonly string[] } {
  const older = here.map((state) => keptFor(write, state));
  const newer = tags.filter((_, i) => older[i] === undefined);
  return { newer, kept: newer.length === 0 ? older[0] : undefined };
}

/** Why a write of another cluster cannot have that version; undefined: it can. `nowMs`: of the clock on the wall. */
export function wrongAs(as: TagVersion, nowMs: number): string | undefined {
  if (as === unversioned) return 'is that of a tag which nobody is known to have written';
  if (numberOf(as) <= Math.min(leadsMax, nowMs + aheadMsMax)) return undefined;
  return `lies more than ${aheadMsMax / 3_600_000} h in the future: the clock of one of the two clusters is wrong`;
}
