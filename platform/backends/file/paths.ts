/**
 * Which file a key is, and which key a file: a directory for each part of the key. Ordinary keys are their own paths, so
 * that other programs find what is there.
 *
 * Rule: every key is a path below the root, and no two keys are the same one. Parts that a file system reads otherwise (none,
 *       `.` and `..`, with NUL, and names that we or NFS give to what is under way) are written with `%`.
 */

import { BackendError } from '../backend.ts';

/** As S3 has it. */
const keyBytesMax = 1024;
/** Of the usual file systems. */
const partBytesMax = 255;

/** How the names of files that are under way begin. */
export const underWay = '.shoal-';
/** What an NFS client makes of a file that was removed while it is open. */
const silly = '.nfs';

/** The path of `key` below the root, in parts. */
export function pathPartsOf(name: string, key: string): string[] {
  const parts = key.split('/').map(encoded);
  const fits = Buffer.byteLength(key) <= keyBytesMax && parts.every((part) => Buffer.byteLength(part) <= partBytesMax);
  if (key === '' || !key.isWellFormed() || !fits)
    throw new BackendError(
      'refused',
      `${name}: ${JSON.stringify(key.slice(0, 100))} is no key that a directory can hold: 1 to ${keyBytesMax} bytes of Unicode, at most ${partBytesMax} between slashes`,
    );
  return parts;
}

function encoded(part: string): string {
  const escaped = part.replaceAll('%', '%25').replaceAll('\0', '%00');
  if (escaped === '') return '%';
  const special = /^\.{1,2}$/.test(escaped) || escaped.startsWith(underWay) || escaped.startsWith(silly);
  return special ? escaped.replaceAll('.', '%2E') : escaped;
}

/** The part of a key that a file's name stands for; undefined: it is none of ours, or under way. */
export function keyPartOf(name: string): string | undefined {
  if (name.startsWith(underWay) || name.startsWith(silly)) return undefined;
  const part = name === '%' ? '' : name.replaceAll('%2E', '.').replaceAll('%00', '\0').replaceAll('%25', '%');
  return encoded(part) === name ? part : undefined;
}
