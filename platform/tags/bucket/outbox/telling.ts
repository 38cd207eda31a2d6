/**
 * What a write leaves for others, where no transaction could: a mark for each target that wants it, made before the write.
 *
 * Rule 1: the cell is read, the marks are made, the cell is written at the version that was read. So there is no write
 *   without its marks. Each has the name of the write that the cell had then: as long as that is the cell's last one, the
 *   write may still come; once it is not, it has come, or never will.
 * Rule 2: who does not write after all removes them. What a crash leaves costs its target at most a look at what it has.
 * Rule 3: where each write is a row its mark says what it was, and the write's name says that somebody asks for it (`x` at its
 *   end): before its cell forgets it (cells/body.ts), `came/` remembers it (Cells.write).
 */

import { digest } from '../../../../core/contracts/fields.ts';
import type { TagVersion } from '../../../../core/contracts/index-api.ts';
import { versionOfTag } from '../../../../core/contracts/index-api.ts';
import { type Parser, record } from '../../../../core/contracts/parse.ts';
import type { Digest } from '../../../../core/digest.ts';
import type { OutboxKey, OutboxOptions } from '../../outbox.ts';
import { everyRowsMax, filledAmong, type OutboxChange, type OutboxTarget, Rooms, wantedBy } from '../../targets.ts';
import { numberOf, writerOf } from '../../versions.ts';
import { type Cell, type Cells, newName, toldEach } from '../cells/cells.ts';
import type { WriteNumbers } from '../cells/numbers.ts';
import { orNull } from '../cells/values.ts';
import { several } from '../requests/several.ts';
import { filledBase, noBase, outAt, outOfTarget } from './keys.ts';

/** `cell`: as it was read; the write that changes it is called `by`. */
export type ToldChange = OutboxChange & { readonly cell: Pick<Cell<unknown>, 'by'>; readonly by: string };

/** What was done before a write: its marks, and where there was no room for one. */
export type Begun = {
  readonly keys: readonly string[];
  /** Those that have marks of it. */
  readonly targets: readonly string[];
  readonly lost: readonly { readonly target: string; readonly rows: number }[];
};
export const nothingBegun: Begun = { keys: [], targets: [], lost: [] };

/** Of a mark where each write is a row. */
export type EverySaid = { readonly version: TagVersion; readonly digest: Digest | null };
export const everySaid: Parser<EverySaid> = record({ version: versionOfTag, digest: orNull(digest) });

export class MarkTelling {
  /** Grows with each mark that this process makes. */
  generation = 0;
  readonly #cells: Cells;
  readonly #numbers: WriteNumbers;
  readonly #options: OutboxOptions | undefined;
  readonly #rooms = new Rooms();

  constructor(cells: Cells, numbers: WriteNumbers, options: OutboxOptions | undefined) {
    this.#cells = cells;
    this.#numbers = numbers;
    this.#options = options;
  }

  targetsOf(repo: string): readonly OutboxTarget[] {
    return this.#options?.targetsOf(repo) ?? [];
  }

  /** Those that all of a repository is queued for when it comes to them. */
  filledOf(repo: string): readonly OutboxTarget[] {
    return filledAmong(this.targetsOf(repo));
  }

  nowMs(): number {
    return Math.floor(this.#options?.nowMs() ?? 0);
  }

  /** Whether a target has each write of these as a row. `beside`: what the same call changes as well. */
  eachIs(repo: string, changes: readonly OutboxChange[], beside: readonly OutboxChange[] = []): boolean {
    return this.#wanted(repo, changes, beside).some(({ target }) => target.every === true);
  }

  /** A name for the write that changes so. */
  name(repo: string, changes: readonly OutboxChange[], beside: readonly OutboxChange[] = []): string {
    return newName() + (this.eachIs(repo, changes, beside) ? toldEach : '');
  }

  /** Before the write, after its cells were read. `version`: of the write, where it has one. */
  async begin(
    repo: string,
    changes: readonly ToldChange[],
    { version, beside = [] }: { version?: TagVersion | undefined; beside?: readonly OutboxChange[] } = {},
  ): Promise<Begun> {
    const wanted = this.#wanted(repo, changes, beside);
    if (wanted.length === 0) return nothingBegun;
    const at = version ?? this.#numbers.next();
    // A version of another database says nothing of the order here.
    const slot = numberOf(writerOf(at) === this.#numbers.database ? at : this.#numbers.next());
    const lost: Begun['lost'][number][] = [];
    const keys: string[] = [];
    for (const { target, told } of wanted) {
      const every = target.every === true;
      if (every && !(await this.#hasRoom(target))) {
        lost.push({ target: target.name, rows: told.length });
        continue;
      }
      const made = await several(told, async (change) => {
        const of = { target: target.name, repo, kind: change.kind, name: change.name, ...(every ? { slot } : {}) };
        const mark = { no: numberOf(at), atMs: this.nowMs(), by: change.by, base: change.cell.by ?? noBase };
        return await this.#make(outAt(of, mark), every ? { version: at, digest: change.digest } : undefined);
      });
      keys.push(...made);
    }
    const targets = wanted.map(({ target }) => target.name);
    return { keys, targets: targets.filter((name) => lost.every(({ target }) => target !== name)), lost };
  }

  /** Without a write: what there is now is queued. `no`, `atMs`: as of the mark of a write. */
  async queue(of: OutboxKey, { no, atMs, said }: { no: number; atMs: number; said?: EverySaid }): Promise<void> {
    await this.#make(outAt(of, { no, atMs, by: newName(), base: filledBase }), said);
  }

  /** Of what is about to change by a write of something else: what there is then is queued. */
  async anew(repo: string, change: OutboxChange): Promise<void> {
    const at = { no: numberOf(this.#numbers.next()), atMs: this.nowMs() };
    const { kind, name } = change;
    const wanted = this.#wanted(repo, [change], []).filter(({ target }) => target.every !== true);
    await several(wanted, ({ target }) => this.queue({ target: target.name, repo, kind, name }, at));
  }

  /** The write was not made, and is not. */
  async undo({ keys }: Begun): Promise<void> {
    await several(keys, (key) => this.#cells.unmark(key));
  }

  /** These writes of one call were made. */
  done(...begun: readonly Begun[]): void {
    const targets = new Set(begun.flatMap((one) => one.targets));
    if (targets.size > 0) {
      this.generation += 1;
      this.#options?.onTold?.([...targets]);
    }
    for (const { target, rows } of begun.flatMap(({ lost }) => lost)) this.#options?.onLost?.(target, rows);
  }

  #wanted<C extends OutboxChange>(
    repo: string,
    changes: readonly C[],
    beside: readonly OutboxChange[],
  ): { readonly target: OutboxTarget; readonly told: readonly C[] }[] {
    return wantedBy(this.targetsOf(repo), [...changes, ...beside])
      .map(({ target, told }) => ({ target, told: changes.filter((change) => told.includes(change)) }))
      .filter(({ told }) => told.length > 0);
  }

  async #make(key: string, said: EverySaid | undefined): Promise<string> {
    if (said === undefined) await this.#cells.mark(key);
    else
      await this.#cells.write<EverySaid>(
        { key, version: null, live: false, value: undefined },
        { live: true, value: said },
      );
    this.generation += 1;
    return key;
  }

  async #hasRoom({ name, rowsMax = everyRowsMax }: OutboxTarget): Promise<boolean> {
    if (this.#rooms.due(name)) {
      let rows = 0;
      for await (const _ of this.#cells.keys(outOfTarget(name))) if (++rows >= rowsMax) break;
      this.#rooms.counted(name, rows >= rowsMax);
    }
    return this.#rooms.has(name);
  }
}
