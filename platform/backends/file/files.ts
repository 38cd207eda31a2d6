/**
 * What a directory as a backend needs of a file system. The real one (real-files.ts) and ones of tests, that
 * behave as NFS does or hang, decide the same rules.
 *
 * Rule 1: a refusal is an Error with the system's `code`, as Node's are.
 * Rule 2: what was written is safe once its file was synced and closed without an error, and the name once its directory was
 *         synced. A rename within a directory is atomic, and so is a link, which takes no name that is there.
 * Rule 3: `state` of an open file is the server's; `state` of a path may be a few seconds old.
 */

/** `id` differs once another file has the name, or somebody wrote to this one since. */
export type FileIs = {
  readonly size: number;
  readonly id: string;
  readonly mtimeMs: number;
  readonly directory: boolean;
};

export interface OpenFile {
  /** Bytes read; 0 at the end. */
  read(into: Uint8Array, position: number): Promise<number>;
  /** All of them, after what was written before. */
  write(bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  /** When it was written, as it is told from now on. */
  date(ms: number): Promise<void>;
  state(): Promise<FileIs>;
  /** A network's file system may only now say that it could not write. */
  close(): Promise<void>;
}

export interface Files {
  open(path: string, mode: 'read' | 'create'): Promise<OpenFile>;
  state(path: string): Promise<FileIs>;
  rename(from: string, to: string): Promise<void>;
  /** EEXIST where `to` is there. */
  link(from: string, to: string): Promise<void>;
  /** A name that stands for `value`, which need not be there; EEXIST where the name is taken. */
  mark(path: string, value: string): Promise<void>;
  marked(path: string): Promise<string>;
  unlink(path: string): Promise<void>;
  mkdir(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  /** The names in it, some at a time, in no order. */
  names(path: string): AsyncIterable<readonly { readonly name: string; readonly directory: boolean }[]>;
}
