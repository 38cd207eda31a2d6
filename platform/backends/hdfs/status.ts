/** What HDFS says of a file or directory, and of a page of a directory. */

import * as z from 'zod';
import type { WebAnswer } from '../web/answer.ts';

const count = z.int().min(0);
const statusShape = z.object({
  /** '' of the one that was asked for. */
  pathSuffix: z.string(),
  type: z.string(),
  length: count,
  /** Milliseconds, by the NameNode's clock. */
  modificationTime: count,
  /** Of the file itself, whatever it is called: never used again. A gateway (HttpFS) does not tell it. */
  fileId: z.int().optional(),
  blockSize: count.optional(),
  /** Encrypted, erasure-coded: its checksum is of other bytes. */
  encBit: z.boolean().optional(),
  ecBit: z.boolean().optional(),
});
export type HdfsStatus = z.output<typeof statusShape>;

const oneShape = z.object({ FileStatus: statusShape });
const pageShape = z.object({
  DirectoryListing: z.object({
    partialListing: z.object({ FileStatuses: z.object({ FileStatus: z.array(statusShape) }) }),
    remainingEntries: count,
  }),
});
const booleanShape = z.object({ boolean: z.boolean() });

async function parsed<T>(answer: WebAnswer, shape: z.ZodType<T>): Promise<T> {
  const given = shape.safeParse(await answer.json());
  if (given.success) return given.data;
  const [issue] = given.error.issues;
  const where = issue === undefined || issue.path.length === 0 ? '' : ` at ${issue.path.join('.')}`;
  throw answer.wrong('unavailable', `answers JSON that is none of WebHDFS${where}`);
}

export async function fileStatusOf(answer: WebAnswer): Promise<HdfsStatus> {
  return (await parsed(answer, oneShape)).FileStatus;
}

export async function pageOfDirectory(
  answer: WebAnswer,
): Promise<{ readonly entries: readonly HdfsStatus[]; readonly more: boolean }> {
  const { partialListing, remainingEntries } = (await parsed(answer, pageShape)).DirectoryListing;
  return { entries: partialListing.FileStatuses.FileStatus, more: remainingEntries > 0 };
}

/** Whether it was done; undefined: it says nothing, which is how an operation that throws where it fails says yes. */
export async function doneOf(answer: WebAnswer): Promise<boolean | undefined> {
  if (answer.headers['content-type']?.startsWith('application/json') === true)
    return (await parsed(answer, booleanShape)).boolean;
  await answer.discard();
  return undefined;
}

export function isDirectory({ type }: HdfsStatus): boolean {
  return type === 'DIRECTORY';
}

export function isFile({ type }: HdfsStatus): boolean {
  return type === 'FILE';
}

/** Of a file: `fileId-modificationTime-length`; without an id, 0. */
export function fileVersion({ fileId = 0, modificationTime, length }: HdfsStatus): string {
  return `${Math.max(0, fileId)}-${modificationTime}-${length}`;
}

/** undefined: it is no version of ours. */
export function versionParts(version: string): { readonly id: number; readonly size: number } | undefined {
  const [, id, size] = /^(\d{1,16})-\d{1,16}-(\d{1,16})$/.exec(version) ?? [];
  return id === undefined ? undefined : { id: Number(id), size: Number(size) };
}

/** The path of a file by its id, wherever it is. */
export function inodePath(id: number): string {
  return `/.reserved/.inodes/${id}`;
}
