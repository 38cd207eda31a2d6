/**
 * What waits for a target, made of marks and of what the cells say that were written (telling.ts).
 *
 * Rule 1: marks are listed before the cell is read. Those whose write cannot come any more are over: what came of them is in
 *   what the cell says then. So they may go once the target has that; a mark that is made later is another one, and stays.
 * Rule 2: a mark whose write may still come is no row. Where nobody has made it for long, the cell is written as it is: now it
 *   cannot come.
 */

import type { TagVersion } from '../../../../core/contracts/index-api.ts';
import type { Digest } from '../../../../core/digest.ts';
import type { OutboxKey, OutboxRow } from '../../outbox.ts';
import { tagVersion } from '../../versions.ts';
import type { Cell, Cells } from '../cells/cells.ts';
import { recordSaid } from '../cells/values.ts';
import { recordAt } from '../layout.ts';
import type { Links } from '../links.ts';
import type { HeldManifest } from '../record.ts';
import { several } from '../requests/several.ts';
import { onOfCell, type Tags } from '../tags.ts';
import { afterRepoOut, cameAt, filledBase, noBase, OUT, type OutMark, outIn, outOf, outOfTarget } from './keys.ts';
import { everySaid } from './telling.ts';

/** Marks that are looked at for one question: of a longer queue the next question sees the next ones. */
const windowMax = 2_000;
/** A write is made some round trips after its mark: one that was not by now has been given up, or may as well be. */
const flyingMsMax = 60_000;

/** Marks of one key. */
export type OutGroup = { readonly of: OutboxKey; readonly marks: readonly OutMark[] };
export type OutWindow = { readonly groups: readonly OutGroup[]; readonly next: string | undefined };
export type Bare = Omit<OutboxRow, 'attempts'> & { readonly dueMs: number };
export type OutLooked = {
  readonly row: Bare | undefined;
  /** Go once the target has it. */
  readonly over: readonly OutMark[];
  /** Say nothing, and go now. */
  readonly stale: readonly OutMark[];
  readonly flying: readonly OutMark[];
  /** What is flying comes no more. False: the cell was written meanwhile. */
  readonly end: () => Promise<boolean>;
};

/** What there is now of a key. `version` undefined: nothing says one; null: there never was any. */
type There = {
  readonly cell: Pick<Cell<unknown>, 'by' | 'past'>;
  readonly digest: Digest | null;
  readonly version?: TagVersion | null;
  readonly end: () => Promise<boolean>;
};

type Parts = { readonly cells: Cells; readonly tags: Tags; readonly links: Links; readonly database: string };

export class OutRows {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Of a target, or of all, in the order of their keys; `after`: as `next` of a window. */
  async *groups(target?: string, after = ''): AsyncGenerator<OutGroup> {
    const prefix = target === undefined ? OUT : outOfTarget(target);
    let [at, marks]: [string, OutMark[]] = ['', []];
    let of: OutboxKey | undefined;
    for await (const { key } of this.#parts.cells.keys(prefix, after)) {
      const found = outIn((prefix + key).slice(OUT.length));
      if (found === undefined) continue;
      const group = key.slice(0, key.lastIndexOf('/'));
      if (of !== undefined && group !== at) yield { of, marks };
      if (group !== at) [at, marks, of] = [group, [], found.of];
      marks.push(found.mark);
    }
    if (of !== undefined) yield { of, marks };
  }

  /** So many of a target that a question about them is a few requests. */
  async window(target: string, after: string): Promise<OutWindow> {
    const groups: OutGroup[] = [];
    let marks = 0;
    for await (const group of this.groups(target, after)) {
      groups.push(group);
      marks += group.marks.length;
      if (marks < windowMax) continue;
      const { of } = group;
      // Where each write is a row none but the first ones of a repository is of interest.
      const below = outOf(of).slice(outOfTarget(target).length);
      return { groups, next: of.slot === undefined ? `${below}~` : afterRepoOut(of.repo) };
    }
    return { groups, next: undefined };
  }

  async of(key: OutboxKey): Promise<OutGroup> {
    const prefix = outOf(key);
    const marks: OutMark[] = [];
    for await (const { key: name } of this.#parts.cells.keys(prefix)) {
      const found = outIn((prefix + name).slice(OUT.length));
      if (found !== undefined) marks.push(found.mark);
    }
    return { of: key, marks };
  }

  async look({ of, marks }: OutGroup): Promise<OutLooked> {
    const there = await this.#there(of);
    const { cell, end } = there;
    const base = cell.by ?? noBase;
    const flying = marks.filter((mark) => mark.base === base);
    const over = marks.filter((mark) => mark.base !== base);
    if (of.slot !== undefined) return { ...(await this.#each(of, over, cell)), flying, end };
    if (over.length === 0 || there.version === null) return { row: undefined, over: [], stale: over, flying, end };
    const version = there.version ?? tagVersion(Math.max(...over.map(({ no }) => no)), this.#parts.database);
    const [sinceMs, dueMs] = [Math.min(...times(over)), Math.max(...times(over))];
    return { row: { ...of, version, digest: there.digest, sinceMs, dueMs }, over, stale: [], flying, end };
  }

  /** The target has it, or is not to. */
  async remove(marks: readonly OutMark[]): Promise<void> {
    await several(marks, (mark) => this.#parts.cells.unmark(mark.key));
  }

  /** What is known to be of no use goes. */
  async tidy({ stale, flying, end }: OutLooked, nowMs: number): Promise<void> {
    await this.remove(stale);
    const old = flying.filter(({ atMs }) => Math.abs(nowMs - atMs) > flyingMsMax);
    if (old.length > 0 && (await end())) await this.remove(old);
  }

  /** Where each write is a row: that whose write has come. */
  async #each(
    of: OutboxKey,
    marks: readonly OutMark[],
    cell: There['cell'],
  ): Promise<Pick<OutLooked, 'row' | 'over' | 'stale'>> {
    const came = await several(marks, (mark) => this.#came(mark, cell));
    const over = marks.filter((_, i) => came[i]);
    const stale = marks.filter((_, i) => !came[i]);
    const [mark] = over;
    const said = mark && (await this.#parts.cells.read(mark.key, everySaid)).value;
    if (mark === undefined || said === undefined) return { row: undefined, over: [], stale };
    const { version, digest } = said;
    return { row: { ...of, version, digest, sinceMs: mark.atMs, dueMs: mark.atMs }, over, stale };
  }

  async #came({ base, by }: OutMark, cell: There['cell']): Promise<boolean> {
    if (base === filledBase || by === cell.by || cell.past?.includes(by) === true) return true;
    return await this.#parts.cells.marked(cameAt(by));
  }

  async #there({ repo, kind, name }: OutboxKey): Promise<There> {
    const { cells, tags, links } = this.#parts;
    if (kind === 'tag') {
      const tag = await tags.read(repo, name);
      const { cell } = tag;
      return {
        cell,
        digest: onOfCell(cell)?.digest ?? null,
        version: cell.value?.version ?? null,
        end: () => tags.leave(tag),
      };
    }
    const digest = name as Digest;
    if (kind === 'blob') {
      const { cell } = await links.cell(repo, digest);
      const { live, value = { size: 0 } } = cell;
      const end = async () => (await cells.write(cell, { live, value })) !== undefined;
      return { cell, digest: live ? digest : null, end };
    }
    const cell = await cells.read(recordAt(repo, digest), recordSaid);
    const { live, value = null } = cell;
    const end = async () => (await cells.write<HeldManifest | null>(cell, { live, value })) !== undefined;
    return { cell, digest: live ? digest : null, end };
  }
}

function times(marks: readonly OutMark[]): number[] {
  return marks.map(({ atMs }) => atMs);
}
