/**
 * Tags: a cell each, which has all that a read of the tag answers.
 *
 * Rule 1: a tag is set in this order: its cell is read, a mark under its manifest is made, the manifest's record is seen to be
 *   there, the cell is written. Whoever removes the manifest ends its record, lists the marks, and writes each of those
 *   cells anew, as a tombstone or as it was: so a tag that was on its way is not written any more.
 * Rule 2: versions are numbered one above the highest that this process has seen, and above the tag's own: of one tag no
 *   number is used twice, as tombstones stay; of two tags that two processes write, two may be alike. What no
 *   clock says (versions.ts) counts for its tag alone.
 */

import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { leadOf, numberOf, type TagState, tagVersion } from '../versions.ts';
import type { ToldOf } from './cells/body.ts';
import { type Cell, type Cells, newName } from './cells/cells.ts';
import { type On, type TagSaid, tagSaid } from './cells/values.ts';
import { onAt, onOf, tagCellAt, tagOf } from './layout.ts';
import { againMax, busy } from './requests/again.ts';

export type Tag = { readonly repo: string; readonly tag: string; readonly cell: Cell<TagSaid> };
export type TagSet = Omit<On, 'made'> & { readonly version: TagVersion };

export class Tags {
  readonly #cells: Cells;
  readonly #database: string;
  #highest: number;

  /** `highest`: a number that is used already. */
  constructor(cells: Cells, database: string, highest = 0) {
    this.#cells = cells;
    this.#database = database;
    this.#highest = highest;
  }

  async read(repo: string, tag: string): Promise<Tag> {
    const cell = await this.#cells.read(tagCellAt(repo, tag), tagSaid);
    const { version } = stateOfCell({ cell });
    if (version !== null) this.seen(version);
    return { repo, tag, cell };
  }

  seen(version: TagVersion): void {
    this.#highest = Math.max(this.#highest, leadOf(version) ?? 0);
  }

  /** Of one write of all of these; the one that it has, if it was made elsewhere. */
  next(tags: readonly Pick<Tag, 'cell'>[], as?: TagVersion): TagVersion {
    if (as !== undefined) {
      this.seen(as);
      return as;
    }
    const numbers = tags.map((tag) => numberOf(stateOfCell(tag).version ?? ('0-' as TagVersion)));
    const version = tagVersion(Math.max(this.#highest, ...numbers) + 1, this.#database);
    this.seen(version);
    return version;
  }

  /** Before the record is seen to be there. The name under which `set` sets it. */
  async mark({ repo, tag }: Tag, digest: Digest): Promise<string> {
    const made = newName();
    await this.#cells.mark(onAt(repo, digest, { tag, by: made }));
    return made;
  }

  /** It is not set by that name after all. */
  async unmark({ repo, tag }: Pick<Tag, 'repo' | 'tag'>, { digest, made }: Pick<On, 'digest' | 'made'>): Promise<void> {
    await this.#cells.unmark(onAt(repo, digest, { tag, by: made }));
  }

  /** False: it was written since it was read; then its mark is gone. */
  async set(tag: Tag, { version, ...on }: TagSet, made: string, told?: ToldOf): Promise<boolean> {
    const value = { version, on: { ...on, made } };
    if ((await this.#cells.write(tag.cell, { live: true, value, by: made, told })) === undefined) {
      await this.unmark(tag, { digest: on.digest, made });
      return false;
    }
    await this.#left(tag);
    return true;
  }

  /** False: it was written since it was read. */
  async bury(tag: Tag, version: TagVersion, told?: ToldOf): Promise<boolean> {
    if ((await this.#cells.write(tag.cell, { live: false, value: { version }, told })) === undefined) return false;
    await this.#left(tag);
    return true;
  }

  /**
   * All tags on a manifest whose record `isGone` are buried, in one write as far as nobody else writes them; and what is on
   * its way to be set on it fails.
   */
  async buryAll(repo: string, digest: Digest, isGone: () => Promise<boolean>): Promise<void> {
    const marks: string[] = [];
    for await (const { key } of this.#cells.keys(onOf(repo, digest))) marks.push(key);
    let left = [...new Set(marks.map((key) => tagOf(key.slice(0, key.lastIndexOf('/')))))];
    for (let again = 0; left.length > 0; again++) {
      if (again === againMax) throw busy(`${repo} ${left[0]}`);
      const tags = await Promise.all(left.map((tag) => this.read(repo, tag)));
      // After the cells were read: a record that is made anew is made before its tags are set.
      if (!(await isGone())) return;
      const version = this.next(tags.filter(({ cell }) => onOfCell(cell)?.digest === digest));
      const done = await Promise.all(tags.map((tag) => this.#endOn(tag, digest, version)));
      left = left.filter((_, i) => !done[i]);
    }
    await Promise.all(marks.map((key) => this.#cells.unmark(onOf(repo, digest) + key)));
  }

  async #endOn(tag: Tag, digest: Digest, version: TagVersion): Promise<boolean> {
    if (onOfCell(tag.cell)?.digest === digest) return await this.bury(tag, version);
    return await this.leave(tag);
  }

  /** As it is, but written: what was on its way fails. False: it was written since it was read. */
  async leave({ cell }: Tag, told?: ToldOf): Promise<boolean> {
    const value = cell.value ?? { version: null };
    return (await this.#cells.write(cell, { live: cell.live, value, told })) !== undefined;
  }

  /** Tags that are on a manifest now, or about to be. */
  async on(repo: string, digest: Digest): Promise<Tag[]> {
    const names = new Set<string>();
    for await (const { key } of this.#cells.keys(onOf(repo, digest)))
      names.add(tagOf(key.slice(0, key.lastIndexOf('/'))));
    return await Promise.all([...names].map((tag) => this.read(repo, tag)));
  }

  /** The mark of what it was on; where it stays, whoever removes that manifest removes it. */
  async #left(tag: Tag): Promise<void> {
    const was = onOfCell(tag.cell);
    if (was !== undefined) await this.unmark(tag, was).catch(() => undefined);
  }
}

export function stateOfCell({ cell }: Pick<Tag, 'cell'>): TagState {
  return { there: cell.live, version: cell.value?.version ?? null };
}

export function onOfCell(cell: Cell<TagSaid>): On | undefined {
  return cell.live ? cell.value?.on : undefined;
}

export function placeOfCell({ cell }: Pick<Tag, 'cell'>): { digest: Digest | undefined; version: TagVersion | null } {
  return { digest: onOfCell(cell)?.digest, version: stateOfCell({ cell }).version };
}
