/**
 * A directory as a backend, on this machine or on a network's file system: an object a file.
 *
 * Rule 1: a key has a whole object or none, whenever who dies (publish.ts). Nothing outside of the directory is touched
 *         (paths.ts), and the directory itself is never made: what is not mounted is missing.
 * Rule 2: a file system that hangs takes two threads and no more (turns.ts); whoever waits leaves with its signal.
 */

import type { Digest } from '../../../core/digest.ts';
import {
  type Backend,
  BackendError,
  type BackendObject,
  type BackendPage,
  type BackendRead,
  type ObjectSource,
  smallBytesMax,
  type WriteCondition,
} from '../backend.ts';
import { backendErrorOf, rootMissing } from './errors.ts';
import type { FileIs, Files, OpenFile } from './files.ts';
import { closeLater, codeOf, openedNow, stateNow, unlessGone } from './now.ts';
import { pathPartsOf } from './paths.ts';
import { type FilePlace, Publisher } from './publish.ts';
import { inTurn } from './turns.ts';
import { pageOf } from './walk.ts';

/** A call to the file system a chunk: the larger, the fewer of them, and each is memory. */
const chunkBytes = 512 * 1024;
const probeBytes = Buffer.from('written by shoal to see whether it may write here; it can be removed\n');

type Chunk = {
  readonly file: OpenFile;
  readonly path: string;
  readonly before: FileIs;
  readonly into: Buffer;
  readonly at: number;
  readonly end: number;
};

export type FileBackendOptions = {
  readonly name: string;
  readonly root: string;
  readonly files: Files;
  /** Others write there as well: what somebody left unfinished stays. */
  readonly shared?: boolean | undefined;
};

export class FileBackend implements Backend {
  readonly kind = 'file';
  readonly name: string;
  readonly #root: string;
  readonly #files: Files;
  readonly #publisher: Publisher;
  /** Some file systems have no links, as the probe finds out. */
  #links = true;

  constructor({ name, root, files, shared = false }: FileBackendOptions) {
    this.name = name;
    this.#root = root;
    this.#files = files;
    this.#publisher = new Publisher({ name, files, sweeps: !shared });
  }

  get can(): Backend['can'] {
    return { conditions: this.#links, list: true, writes: true, records: true };
  }

  async probe(signal: AbortSignal): Promise<void> {
    await this.#said('', async () => {
      const root = await inTurn(signal, () => this.#files.state(this.#root));
      if (!root.directory)
        throw new BackendError('refused', `${this.name}: ${this.#root} is no directory: name one in the configuration`);
      this.#links = await this.#publisher.tryOut({ root: this.#root, directories: [] }, probeBytes, signal);
    });
  }

  async stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    const place = this.#placeOf(key);
    const found = await this.#said(key, () => this.#state(place, signal));
    return found && objectOf(found);
  }

  async *read(key: string, { start, end, version }: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { path } = this.#placeOf(key);
    const { file, is: before } = await this.#said(key, () => openedNow(this.#files, path, signal));
    try {
      if (version !== undefined && version !== before.id) throw this.#changed(key);
      if (end > before.size)
        throw new BackendError('damaged', `${this.name}: ${key} has ${before.size} bytes, not ${end}`);
      for (let at = start; at < end; ) {
        const into = Buffer.allocUnsafe(Math.min(chunkBytes, end - at));
        const count = await this.#said(key, () => this.#chunk({ file, path, before, into, at, end }, signal));
        // Who wrote to the file itself has mixed two objects.
        if (count === 0) throw this.#changed(key);
        at += count;
        yield into.subarray(0, count);
      }
    } finally {
      closeLater(file);
    }
  }

  /** Bytes that were read of the file as it was `before`; 0: it is another one. */
  async #chunk({ file, path, before, into, at, end }: Chunk, signal: AbortSignal): Promise<number> {
    try {
      const count = await inTurn(signal, () => file.read(into, at));
      const last = at + count >= end;
      return last && (await inTurn(signal, () => file.state())).id !== before.id ? 0 : count;
    } catch (error) {
      // The server has given its place to another one, or has restarted.
      if (codeOf(error) === 'ESTALE' && (await stateNow(this.#files, path, signal))?.id !== before.id) return 0;
      throw error;
    }
  }

  async write(key: string, source: ObjectSource, signal: AbortSignal): Promise<BackendObject> {
    const place = this.#placeOf(key);
    return await this.#said(key, async () => {
      await this.#publisher.write({ ...place, key }, source, signal);
      const there = await this.#state(place, signal);
      if (there?.size !== source.size)
        throw new BackendError(
          'damaged',
          `${this.name}: ${key} was written and is not there as it was: write it again`,
        );
      return objectOf(there, source.digest);
    });
  }

  async put(key: string, bytes: Uint8Array, signal: AbortSignal, condition?: WriteCondition): Promise<BackendObject> {
    const place = this.#placeOf(key);
    if (bytes.length > smallBytesMax)
      throw new BackendError(
        'refused',
        `${this.name}: ${key} has more than ${smallBytesMax} bytes: it is to be written, not put`,
      );
    return await this.#said(key, async () =>
      objectOf(await this.#publisher.put({ ...place, key }, bytes, { condition, signal })),
    );
  }

  async list(
    prefix: string,
    page: { after?: string | undefined; max: number },
    signal: AbortSignal,
  ): Promise<BackendPage> {
    return await this.#said(prefix, async () => {
      await this.#mounted(signal);
      return await pageOf({ files: this.#files, root: this.#root, signal }, prefix, page);
    });
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    const { path } = this.#placeOf(key);
    await this.#said(key, async () => {
      const gone = await inTurn(signal, () => this.#files.unlink(path).then(() => true)).catch(unlessGone);
      if (gone !== undefined)
        await inTurn(signal, () => this.#files.syncDirectory(path.slice(0, path.lastIndexOf('/'))));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** As the server has it: a path's own state may be old. undefined: there is none, though its directory could be looked at. */
  async #state({ path }: FilePlace, signal: AbortSignal): Promise<FileIs | undefined> {
    const found = await stateNow(this.#files, path, signal);
    if (found !== undefined) return found.directory ? undefined : found;
    await this.#mounted(signal);
    return undefined;
  }

  /** Where the directory is not there, or no directory, it does not tell that an object is not there. */
  async #mounted(signal: AbortSignal): Promise<void> {
    const root = await inTurn(signal, () => this.#files.state(this.#root));
    if (!root.directory) throw rootMissing(this.name, this.#root);
  }

  #placeOf(key: string): FilePlace {
    const parts = pathPartsOf(this.name, key);
    return { root: this.#root, directories: parts.slice(0, -1), path: [this.#root, ...parts].join('/') };
  }

  #changed(key: string): BackendError {
    return new BackendError('changed', `${this.name}: ${key} was written anew since its reading began: begin again`);
  }

  /** What `act` gives; what fails in it, as a backend says it. */
  async #said<T>(key: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      const said = backendErrorOf(this.name, key, error);
      if (!(said instanceof BackendError) || (said.why !== 'missing' && codeOf(error) !== 'ENOTDIR')) throw said;
      const root = await this.#files.state(this.#root).catch(unlessGone);
      throw root?.directory !== true ? rootMissing(this.name, this.#root) : said;
    }
  }
}

function objectOf({ size, id }: FileIs, digest?: Digest): BackendObject {
  return { size, version: id, ...(digest !== undefined && { digest }) };
}
