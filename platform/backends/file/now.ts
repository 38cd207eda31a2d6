/** What a name stands for now, and the refusals that are no failure. */

import type { FileIs, Files, OpenFile } from './files.ts';
import { inTurn } from './turns.ts';

/** For what is not waited for: closing, and tidying up. */
export const unhurried = new AbortController().signal;

/** Another one takes its place while it is looked at, so often in a row: nobody writes so fast. */
const staleMax = 20;

/** What is at `path`, open, as the server has it: a path's own state may be old. The system's error where it cannot be. */
export async function openedNow(
  files: Files,
  path: string,
  signal: AbortSignal,
): Promise<{ readonly file: OpenFile; readonly is: FileIs }> {
  for (let stale = 0; ; stale++) {
    const file = await inTurn(signal, () => files.open(path, 'read'), closeLater);
    try {
      return { file, is: await inTurn(signal, () => file.state()) };
    } catch (error) {
      closeLater(file);
      if (codeOf(error) !== 'ESTALE' || stale === staleMax) throw error;
    }
  }
}

/** undefined: there is none. */
export async function stateNow(files: Files, path: string, signal: AbortSignal): Promise<FileIs | undefined> {
  const opened = await openedNow(files, path, signal).catch(unlessGone);
  if (opened !== undefined) closeLater(opened.file);
  return opened?.is;
}

/** Of a file that was read: that it could not be closed says nothing, and a hung server is not waited for. */
export function closeLater(file: OpenFile): void {
  inTurn(unhurried, () => file.close()).catch(() => undefined);
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** ENOTDIR: a part of the way is a file, so there is nothing below it. */
export function unlessGone(error: unknown): undefined {
  if (!['ENOENT', 'ENOTDIR'].includes(codeOf(error))) throw error;
}

export function unlessThere(error: unknown): undefined {
  if (codeOf(error) !== 'EEXIST') throw error;
}
