/**
 * A file system that behaves as NFS does: what is known of a path is old until it is opened, an open file that another one
 * replaced is gone, a request that was sent twice is refused by what it did itself, and a write fails when it is closed.
 */

import type { FileIs, Files, OpenFile } from './files.ts';
import { realFiles } from './real-files.ts';

type Twice = 'link' | 'mark' | 'rename' | 'unlink';

export class NfsFiles implements Files {
  /** Of paths; forgotten when one is opened. */
  readonly #attributes = new Map<string, FileIs>();
  readonly #replaced = new Map<string, number>();
  #twice: Twice | undefined;
  #closing: string | undefined;
  /** Called before each call, with what it is and of what. */
  before: (call: string, path: string) => Promise<void> = async () => undefined;

  /** The answer to the next such request is lost, and the client sends it again. */
  sendTwice(call: Twice): void {
    this.#twice = call;
  }

  /** The next file that is closed after it was written could not be written. */
  failClose(code: string): void {
    this.#closing = code;
  }

  async open(path: string, mode: 'read' | 'create'): Promise<OpenFile> {
    await this.before(`open ${mode}`, path);
    this.#attributes.delete(path);
    const file = await realFiles.open(path, mode);
    const generation = this.#generation(path);
    const here = (): void => {
      if (this.#generation(path) !== generation) throw coded('ESTALE', path);
    };
    return {
      read: async (into, position) => {
        here();
        return await file.read(into, position);
      },
      write: (bytes) => file.write(bytes),
      sync: async () => undefined,
      date: (ms) => file.date(ms),
      state: async () => {
        here();
        return await file.state();
      },
      close: async () => {
        await file.close();
        const code = mode === 'create' ? this.#closing : undefined;
        if (code === undefined) return;
        this.#closing = undefined;
        throw coded(code, path);
      },
    };
  }

  async state(path: string): Promise<FileIs> {
    await this.before('state', path);
    const known = this.#attributes.get(path) ?? (await realFiles.state(path));
    this.#attributes.set(path, known);
    return known;
  }

  async rename(from: string, to: string): Promise<void> {
    if (directoryOf(from) !== directoryOf(to)) throw coded('EXDEV', to);
    await this.#perhapsTwice('rename', to, () => realFiles.rename(from, to));
    this.#replaced.set(to, this.#generation(to) + 1);
  }

  async link(from: string, to: string): Promise<void> {
    await this.#perhapsTwice('link', to, () => realFiles.link(from, to));
  }

  async mark(path: string, value: string): Promise<void> {
    await this.#perhapsTwice('mark', path, () => realFiles.mark(path, value));
  }

  async marked(path: string): Promise<string> {
    await this.before('marked', path);
    return await realFiles.marked(path);
  }

  async unlink(path: string): Promise<void> {
    await this.#perhapsTwice('unlink', path, () => realFiles.unlink(path));
  }

  async mkdir(path: string): Promise<void> {
    await this.before('mkdir', path);
    await realFiles.mkdir(path);
  }

  async syncDirectory(path: string): Promise<void> {
    await this.before('syncDirectory', path);
  }

  names(path: string): ReturnType<Files['names']> {
    return realFiles.names(path);
  }

  #generation(path: string): number {
    return this.#replaced.get(path) ?? 0;
  }

  async #perhapsTwice(call: Twice, path: string, act: () => Promise<void>): Promise<void> {
    await this.before(call, path);
    await act();
    if (this.#twice !== call) return;
    this.#twice = undefined;
    await act();
  }
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

export function coded(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: '${path}'`), { code });
}
