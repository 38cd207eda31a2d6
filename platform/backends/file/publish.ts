/**
 * How an object gets its name in a directory, whole or not at all.
 *
 * Rule 1: bytes go to a file of a name of its own in the same directory, since a rename across directories may be one
 *         across file systems. It is synced, closed, compared, renamed, and the directory synced; an error of any of
 *         them, closing included, leaves what was there.
 * Rule 2: that there is no object is a condition that a link meets; that it is of a version, whoever claims to succeed that
 *         version (claim.ts).
 * Rule 3: versions do not come again: a file's date is drawn within the last second, since file systems tick slowly and
 *         use the numbers of files again.
 */

import { createHash, randomBytes } from 'node:crypto';
import { BackendError, type ObjectSource, type WriteCondition } from '../backend.ts';
import { succeed } from './claim.ts';
import type { FileIs, Files, OpenFile } from './files.ts';
import { codeOf, stateNow, unhurried, unlessGone, unlessThere } from './now.ts';
import { underWay } from './paths.ts';
import { sweep } from './sweep.ts';
import { inTurn } from './turns.ts';

/** Where an object goes: below `root`, in directories that are made where they are missing. */
export type FilePlace = { readonly root: string; readonly directories: readonly string[]; readonly path: string };
type Target = FilePlace & { readonly key: string };

/** What a file system says that has no links. */
const linkless = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV'];

export class Publisher {
  readonly #name: string;
  readonly #files: Files;
  readonly #sweeps: boolean;

  /** `sweeps`: what others left unfinished a day ago is removed. */
  constructor({ name, files, sweeps }: { readonly name: string; readonly files: Files; readonly sweeps: boolean }) {
    this.#name = name;
    this.#files = files;
    this.#sweeps = sweeps;
  }

  async write(target: Target, source: ObjectSource, signal: AbortSignal): Promise<FileIs> {
    const { size, digest } = source;
    const [algorithm = '', hex] = digest.split(':');
    const hash = createHash(algorithm);
    let count = 0;
    const fill = async (file: OpenFile): Promise<void> => {
      for await (const chunk of source.read(0, size, signal)) {
        count += chunk.length;
        hash.update(chunk);
        await inTurn(signal, () => file.write(chunk));
      }
      if (count !== size || hash.digest('hex') !== hex)
        throw new BackendError(
          'damaged',
          `${this.#name}: the bytes to be written as ${target.key} are not those of ${digest}`,
        );
    };
    return await this.#published(target, fill, (made) => this.#rename(made, target, signal), signal);
  }

  put(target: Target, bytes: Uint8Array, how: { condition: WriteCondition | undefined; signal: AbortSignal }) {
    const { condition, signal } = how;
    const fill = (file: OpenFile): Promise<void> => inTurn(signal, () => file.write(bytes));
    const name = (made: Made): Promise<void> => {
      if (condition === undefined) return this.#rename(made, target, signal);
      if (condition.version === null) return this.#linkNew(made, target, signal);
      return this.#succeed(made, target, condition.version, signal);
    };
    return this.#published(target, fill, name, signal);
  }

  /** Writes, links and removes a file of no key. Whether there are links here. */
  async tryOut(place: Omit<FilePlace, 'path'>, bytes: Uint8Array, signal: AbortSignal): Promise<boolean> {
    const files = this.#files;
    let links = true;
    const fill = (file: OpenFile): Promise<void> => inTurn(signal, () => file.write(bytes));
    const name = async ({ path }: Made): Promise<void> => {
      const other = `${path}.link`;
      try {
        await inTurn(signal, () => files.link(path, other));
        await inTurn(signal, () => files.unlink(other));
        await inTurn(signal, () => files.mark(other, path));
        await inTurn(signal, () => files.unlink(other));
      } catch (error) {
        signal.throwIfAborted();
        links = !linkless.includes(codeOf(error));
        if (links) throw error;
      }
    };
    await this.#published({ ...place, path: `${place.root}/probe`, key: '' }, fill, name, signal);
    return links;
  }

  /** `name` gives the finished file its name. */
  async #published(
    { root, directories }: Target,
    fill: (file: OpenFile) => Promise<void>,
    name: (made: Made) => Promise<void>,
    signal: AbortSignal,
  ): Promise<FileIs> {
    const files = this.#files;
    const directory = await this.#directory(root, directories, signal);
    const temporary = `${directory}/${underWay}${randomBytes(12).toString('hex')}`;
    const opening = (): Promise<OpenFile> => files.open(temporary, 'create');
    const discard = (file?: OpenFile): void => {
      const closed = file === undefined ? Promise.resolve() : inTurn(unhurried, () => file.close());
      const gone = closed.catch(() => undefined).then(() => inTurn(unhurried, () => files.unlink(temporary)));
      gone.catch(() => undefined);
    };
    const file = await inTurn(signal, opening, discard);
    let open: OpenFile | undefined = file;
    try {
      await fill(file);
      await inTurn(signal, () => file.date(Date.now() - Math.random() * 1000));
      await inTurn(signal, () => file.sync());
      const is = await inTurn(signal, () => file.state());
      open = undefined;
      await inTurn(signal, () => file.close());
      await name({ path: temporary, is });
      await inTurn(signal, () => files.syncDirectory(directory));
      if (this.#sweeps) void sweep(files, directory, is.mtimeMs).catch(() => undefined);
      return is;
    } finally {
      discard(open);
    }
  }

  async #rename({ path: from, is }: Made, { path }: FilePlace, signal: AbortSignal): Promise<void> {
    try {
      await inTurn(signal, () => this.#files.rename(from, path));
    } catch (error) {
      // A network's file system that asked twice is refused by what it did itself.
      if (codeOf(error) !== 'ENOENT' || (await stateNow(this.#files, path, signal))?.id !== is.id) throw error;
    }
  }

  async #linkNew(made: Made, target: Target, signal: AbortSignal): Promise<void> {
    if (!(await this.#link(made, target.path, signal))) throw this.#changed(target);
  }

  async #succeed({ path: from, is }: Made, target: Target, version: string, signal: AbortSignal): Promise<void> {
    const claiming = { files: this.#files, from, id: is.id, target: target.path, version, signal };
    const won = await succeed(claiming).catch((error: unknown) => Promise.reject(this.#linkError(error, target.path)));
    if (!won) throw this.#changed(target);
  }

  /** Whether `made` got that name: nobody else has it. */
  async #link({ path, is }: Made, to: string, signal: AbortSignal): Promise<boolean> {
    try {
      await inTurn(signal, () => this.#files.link(path, to));
      return true;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw this.#linkError(error, to);
      // A network's file system that asked twice is refused by what it did itself.
      return (await stateNow(this.#files, to, signal))?.id === is.id;
    }
  }

  #linkError(error: unknown, to: string): unknown {
    if (!linkless.includes(codeOf(error))) return error;
    const text = `${this.#name}: the file system of ${to} has no links, which a condition needs: use another one, or a backend that has conditions`;
    return new BackendError('unsupported', text, { error });
  }

  /** The directory of those parts, which is there and synced then. */
  async #directory(root: string, parts: readonly string[], signal: AbortSignal): Promise<string> {
    const path = [root, ...parts].join('/');
    if (parts.length === 0) return path;
    const files = this.#files;
    const known = await inTurn(signal, () => files.state(path)).catch(unlessGone);
    if (known !== undefined) return path;
    const parent = await this.#directory(root, parts.slice(0, -1), signal);
    await inTurn(signal, () => files.mkdir(path)).catch(unlessThere);
    await inTurn(signal, () => files.syncDirectory(parent));
    return path;
  }

  #changed({ key }: Target): BackendError {
    return new BackendError('changed', `${this.#name}: ${key} was written by somebody else meanwhile: read it again`);
  }
}

/** A file that is written, synced and closed. */
type Made = { readonly path: string; readonly is: FileIs };
