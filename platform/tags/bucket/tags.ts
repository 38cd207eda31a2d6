/**
 * Tags: a cell each, which has all that a read of the tag answers.
 *
 * Rule 1: a tag is set in this order: its cell is read, a mark under its manifest is made, the manifest's record is seen to be
 *   there, the cell is written. Whoever removes the manifest ends its record, lists the marks, and writes each of those
 *   cells anew, as a tombstone or as it was: so a tag that was on its way is not written any more.
 * Rule 2: what others are told of a write is marked before it, beside the mark of rule 1 (outbox/telling.ts).
 */

import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import type { TagState } from '../versions.ts';
import type { ToldOf } from './cells/body.ts';
import type { Cell, Cells } from './cells/cells.ts';
import type { WriteNumbers } from './cells/numbers.ts';
import { type On, type TagSaid, tagSaid } from './cells/values.ts';
import { onAt, onOf, tagCellAt, tagOf } from './layout.ts';
import { type Begun, type MarkTelling, nothingBegun } from './outbox/telling.ts';
import { againMax, busy } from './requests/again.ts';

export type Tag = { readonly repo: string; readonly tag: string; readonly cell: Cell<TagSaid> };
export type TagSet = Omit<On, 'made'> & { readonly version: TagVersion };
/** Where a tag is to go, before it goes there. `digest` null: it is deleted. `quiet`: nobody is told. */
export type TagAim = { readonly digest: Digest | null; readonly version: TagVersion; readonly quiet?: boolean };
/** What was done for it. */
export type Plan = { readonly made: string; readonly digest: Digest | null; readonly begun: Begun };

type Parts = { readonly cells: Cells; readonly numbers: WriteNumbers; readonly telling: MarkTelling };

export class Tags {
  readonly #cells: Cells;
  readonly #numbers: WriteNumbers;
  readonly #telling: MarkTelling;

  constructor({ cells, numbers, telling }: Parts) {
    this.#cells = cells;
    this.#numbers = numbers;
    this.#telling = telling;
  }

  async read(repo: string, tag: string): Promise<Tag> {
    const cell = await this.#cells.read(tagCellAt(repo, tag), tagSaid);
    const { version } = stateOfCell({ cell });
    if (version !== null) this.seen(version);
    return { repo, tag, cell };
  }

  seen(version: TagVersion): void {
    this.#numbers.seen(version);
  }

  /** Of one write of all of these; the one that it has, if it was made elsewhere. */
  next(tags: readonly Pick<Tag, 'cell'>[], as?: TagVersion): TagVersion {
    return this.#numbers.next(
      tags.map((tag) => stateOfCell(tag).version),
      as,
    );
  }

  /** Before the record is seen to be there: the marks of a write, and its name. */
  async plan({ repo, tag, cell }: Tag, { digest, version, quiet = false }: TagAim): Promise<Plan> {
    const change = { kind: 'tag', name: tag, digest } as const;
    const made = this.#telling.name(repo, quiet ? [] : [change]);
    const [begun] = await Promise.all([
      quiet ? nothingBegun : this.#telling.begin(repo, [{ ...change, cell, by: made }], { version }),
      digest === null ? undefined : this.#cells.mark(onAt(repo, digest, { tag, by: made })),
    ]);
    return { made, digest, begun };
  }

  /** It is not written so after all. */
  async unplan({ repo, tag }: Pick<Tag, 'repo' | 'tag'>, { made, digest, begun }: Plan): Promise<void> {
    await Promise.all([
      this.#telling.undo(begun),
      digest === null ? undefined : this.#cells.unmark(onAt(repo, digest, { tag, by: made })),
    ]);
  }

  /** False: it was written since it was read; then its marks are gone. */
  async set(tag: Tag, { version, ...on }: TagSet, plan: Plan, told?: ToldOf): Promise<boolean> {
    return await this.#write(tag, { live: true, value: { version, on: { ...on, made: plan.made } } }, plan, told);
  }

  /** These were written, in one call: whoever is told of it may look. */
  told(...plans: readonly Plan[]): void {
    this.#telling.done(...plans.map(({ begun }) => begun));
  }

  /** False: it was written since it was read; then its marks are gone. */
  async bury(tag: Tag, version: TagVersion, plan: Plan, told?: ToldOf): Promise<boolean> {
    return await this.#write(tag, { live: false, value: { version } }, plan, told);
  }

  async #write(
    tag: Tag,
    said: { readonly live: boolean; readonly value: TagSaid },
    plan: Plan,
    told: ToldOf | undefined,
  ): Promise<boolean> {
    if ((await this.#cells.write(tag.cell, { ...said, by: plan.made, told })) === undefined) {
      await this.unplan(tag, plan);
      return false;
    }
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
    if (onOfCell(tag.cell)?.digest !== digest) return await this.leave(tag);
    const plan = await this.plan(tag, { digest: null, version });
    const buried = await this.bury(tag, version, plan);
    if (buried) this.told(plan);
    return buried;
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
  async #left({ repo, tag, cell }: Tag): Promise<void> {
    const was = onOfCell(cell);
    if (was === undefined) return;
    await this.#cells.unmark(onAt(repo, was.digest, { tag, by: was.made })).catch(() => undefined);
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
