/**
 * Cells and marks: the two kinds of objects that the engine is made of.
 *
 * Rule 1: a cell is written only at the version at which its writer has read it. It is never removed: what is deleted is
 *   a tombstone, so that its version comes after.
 * Rule 2: a mark has the name of one write in its key: it is written once, removed once, and never made again. What it
 *   says holds if the cell of that write says so too.
 * Rule 3: who got no answer looks: the write was made (`by` is there, or among those before), or was not and cannot be any
 *   more, as another came in its place; else it is made again with the same bytes. Only where that cannot be found out
 *   either, `unavailable` is thrown: it may have been made, or may be yet.
 * Rule 4: a write that somebody asks for by its name (`toldEach`) is remembered beside the cell, before the cell forgets it.
 */

import { randomBytes } from 'node:crypto';
import { type Parser, parse } from '../../../../core/contracts/parse.ts';
import { type BackendCause, BackendError } from '../../../backends/backend.ts';
import type { ConditionalObjects } from '../../../backends/conditional.ts';
import { cameAt } from '../outbox/keys.ts';
import { bodyBytes, cellBodyOf, isLive, pastMax, type ToldOf, type WrittenBy, withTold } from './body.ts';

export type Cell<T> = Partial<WrittenBy> & {
  readonly key: string;
  /** null: there never was one. */
  readonly version: string | null;
  readonly live: boolean;
  /** Of a tombstone too. */
  readonly value: T | undefined;
};

type Written<T> = {
  readonly live: boolean;
  readonly value: T;
  readonly by?: string;
  readonly told?: ToldOf | undefined;
};

/** Attempts of one write whose answer does not come. */
const attemptsMax = 4;
/** Characters of what is wrong with an object. */
const problemMax = 300;
/** Answers after which a write may have been made. */
const unsure: ReadonlySet<BackendCause> = new Set(['unavailable', 'stalled', 'throttled', 'damaged']);
const markBytes = Buffer.from('1');

/** At the end of a write's name: no name that is drawn has it. */
export const toldEach = 'x';

/** A name for a write: never drawn twice. */
export function newName(): string {
  return randomBytes(8).toString('hex');
}

export class Cells {
  readonly #objects: ConditionalObjects;
  readonly #prefix: string;
  readonly #signal: AbortSignal;
  readonly #heed: () => void;

  /** `heed` throws where nobody waits for the write any more: it is asked once its cell was read. */
  constructor(objects: ConditionalObjects, prefix: string, signal: AbortSignal, heed: () => void = () => undefined) {
    this.#objects = objects;
    this.#prefix = prefix;
    this.#signal = signal;
    this.#heed = heed;
  }

  /** `of`: what may be said there. */
  async read<T>(key: string, of: Parser<T>): Promise<Cell<T>> {
    const cell = await this.#load(key);
    if (cell.version === null) return { ...cell, value: undefined };
    const read = parse(of, cell.value, 'what it says');
    if (!read.ok) throw this.#wrong(key, `is no object of an index (${read.problem.slice(0, problemMax)})`);
    return { ...cell, value: read.value };
  }

  async #load(key: string): Promise<Cell<unknown>> {
    const found = await this.#objects.load(this.#prefix + key, this.#signal);
    if (found === undefined) return { key, version: null, live: false, value: undefined };
    const body = cellBodyOf(found.bytes);
    if (body === undefined) throw this.#wrong(key, 'is no object of an index: somebody else has written it');
    return { key, version: found.version, ...body };
  }

  /** At the version of `cell`; undefined: it was written since, and nothing happened. `told`: the name that this write has. */
  async write<T>(cell: Cell<T>, { live, value, by = newName(), told }: Written<T>): Promise<Cell<T> | undefined> {
    this.#heed();
    const { key, version } = cell;
    const all = cell.by === undefined ? [] : [cell.by, ...(cell.past ?? [])];
    const past = all.slice(0, pastMax);
    for (const forgotten of all.slice(pastMax)) if (forgotten.endsWith(toldEach)) await this.mark(cameAt(forgotten));
    const named = withTold(cell.named, told);
    const bytes = bodyBytes({ live, value, by, past, named });
    let answered = true;
    for (let attempts = 1; ; attempts++) {
      try {
        const put = await this.#objects.put(this.#prefix + key, bytes, this.#signal, { version });
        return { key, version: put.version, live, value, by, past, named };
      } catch (error) {
        if (!(error instanceof BackendError)) throw error;
        if (error.why === 'changed' && answered) return undefined;
        if (error.why !== 'changed' && !unsure.has(error.why)) throw error;
        answered = false;
        const there = await this.#load(key);
        if (there.by === by) return { ...there, live, value };
        if (there.past?.includes(by)) return { ...there, live, value, version: 'written since' };
        if (there.version !== version) {
          if (knowsSince(there, cell)) return undefined;
          throw this.#unknown(key, error);
        }
        if (attempts === attemptsMax) throw this.#unknown(key, error);
      }
    }
  }

  /** A mark. Once more does no harm. */
  async mark(key: string): Promise<void> {
    for (let attempts = 1; ; attempts++) {
      try {
        await this.#objects.put(this.#prefix + key, markBytes, this.#signal, { version: null });
        return;
      } catch (error) {
        if (!(error instanceof BackendError) || error.why === 'changed') {
          if (error instanceof BackendError) return;
          throw error;
        }
        if (!unsure.has(error.why) || attempts === attemptsMax) throw error;
      }
    }
  }

  async marked(key: string): Promise<boolean> {
    return (await this.#objects.load(this.#prefix + key, this.#signal)) !== undefined;
  }

  async unmark(key: string): Promise<void> {
    await this.#objects.remove(this.#prefix + key, this.#signal);
  }

  /** Keys after `after`, both without `prefix`, and whether what is there is no tombstone. */
  async *keys(
    prefix: string,
    after = '',
    page = 1000,
  ): AsyncGenerator<{ readonly key: string; readonly live: boolean }> {
    const whole = this.#prefix + prefix;
    let from: string | undefined = after === '' ? undefined : whole + after;
    do {
      const { objects, next } = await this.#objects.list(whole, { after: from, max: page }, this.#signal);
      // A bucket that begins again where it was would be read for ever.
      if (next !== undefined && Buffer.compare(Buffer.from(next), Buffer.from(from ?? '')) <= 0)
        throw this.#wrong(next, 'comes again in a list that went on');
      for (const { key, size } of objects) yield { key: key.slice(whole.length), live: isLive(size) };
      from = next;
    } while (from !== undefined);
  }

  #unknown(key: string, error: BackendError): BackendError {
    return new BackendError('unavailable', `${error.message} (whether ${key} was written is not known)`, { error });
  }

  #wrong(key: string, words: string): BackendError {
    return new BackendError(
      'damaged',
      `${this.#objects.name}: ${this.#prefix}${key} ${words}: nobody but the index may write below \`prefix\``,
    );
  }
}

/** Of an object that is none of an index: it stays so, whoever asks again. */
export function isDamaged(error: unknown): boolean {
  return error instanceof BackendError && error.why === 'damaged';
}

/** Whether `there` names all the writes that came after `base`. */
function knowsSince({ past = [] }: Cell<unknown>, base: Cell<unknown>): boolean {
  return base.by === undefined ? past.length < pastMax : past.includes(base.by);
}
