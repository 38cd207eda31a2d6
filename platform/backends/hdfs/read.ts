/**
 * Bytes of an object, of one version.
 *
 * Rule 1: a file is opened by its id, so what is replaced meanwhile is not mixed with what takes its place.
 * Rule 2: before the last bytes go out, the file is looked at once more: a gateway opens by name, a snapshot has files that
 *         are gone, and somebody may have appended.
 */

import { BackendError, type BackendRead } from '../backend.ts';
import type { About, HdfsPlace } from './place.ts';
import type { HdfsTarget } from './publish.ts';
import { fileVersion, inodePath, isFile, versionParts } from './status.ts';

export async function* readHdfs(
  place: HdfsPlace,
  { key, path }: HdfsTarget,
  { start, end, version: wanted }: BackendRead,
  about: About,
): AsyncGenerator<Uint8Array> {
  const { name } = place.web;
  const changed = (error?: unknown): BackendError =>
    new BackendError('changed', `${name}: ${key} was written anew since its reading began: begin again`, { error });
  const version = await versionToRead(place, { key, path }, wanted, about);
  const { id, size } = versionParts(version) ?? { id: 0, size: 0 };
  if (wanted !== undefined && wanted !== version) throw changed();
  if (end > size) throw new BackendError('damaged', `${name}: ${key} has ${size} bytes, not ${end}`);
  if (start === end) return;
  const from = id === 0 ? path : inodePath(id);
  const answer = await place.open(from, { start, end }, about).catch((error: unknown) => {
    throw error instanceof BackendError && error.why === 'missing' ? changed(error) : error;
  });
  let at = start;
  let last: Uint8Array | undefined;
  for await (const chunk of answer.body()) {
    const some = chunk.subarray(0, end - at);
    at += some.length;
    if (chunk.length > some.length)
      throw answer.wrong('damaged', `more than the ${end - start} bytes that were asked for came`);
    if (at < end) yield some;
    else if (some.length > 0) last = some;
  }
  if (at === end) {
    const now = await place.status(from, about);
    if (now === undefined || fileVersion(now) !== version) throw changed();
  }
  if (last !== undefined) yield last;
  if (at < end)
    throw answer.wrong('damaged', `the answer ended ${end - at} bytes early`, 'it is read again from there');
}

/** What is to be read: what was wanted, where that says which file it is. */
async function versionToRead(
  place: HdfsPlace,
  { key, path }: HdfsTarget,
  wanted: string | undefined,
  about: About,
): Promise<string> {
  if (wanted !== undefined && (versionParts(wanted)?.id ?? 0) > 0) return wanted;
  const there = await place.status(path, about);
  if (there === undefined || !isFile(there))
    throw new BackendError('missing', `${place.web.name}: ${key}: there is no such object`);
  return fileVersion(there);
}
