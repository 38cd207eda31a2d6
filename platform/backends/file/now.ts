/** What a name stands for now, and the refusals that are no failure. */

import type { Files, OpenFile } from './files.ts';
import { inTurn } from './turns.ts';

/** For what is not waited for: closing, and tidying up. */
export const unhurried = new AbortController().signal;

/** The id of the file at `path` as the server has it, since a path's own state may be old; undefined: there is none. */
export async function idNow(files: Files, path: string, signal: AbortSignal): Promise<string | undefined> {
  const file = await openedNow(files, path, signal).catch(unlessGone);
  if (file === undefined) return undefined;
  try {
    return (await inTurn(signal, () => file.state())).id;
  } finally {
    closeLater(file);
  }
}

export function openedNow(files: Files, path: string, signal: AbortSignal): Promise<OpenFile> {
  return inTurn(signal, () => files.open(path, 'read'), closeLater);
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
