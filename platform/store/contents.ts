/**
 * `DIR/contents`: which blobs are here, in order of use, when each came and was used last; a hint for the next start.
 *
 * Rule 1: what is here the names on the disk tell, at every start. This tells their order, and which of them need not be
 *   looked at one by one: those that a process which ended as it should had whole.
 * Rule 2: so it is in doubt, and every file's size is compared with its name, where it is missing, torn or of another
 *   format, or where the last process did not end by itself: who reads it notes first that it is not to be relied on.
 * Rule 3: at most `recordBytes` a blob, or half as much more; written aside and renamed, in slices between which others run.
 */

import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { type Digest, digestOf } from '../../core/digest.ts';
import { hashBytes } from '../../core/piece.ts';
import { type Disk, diskCode, readWhole, unlinkIfThere } from './disk/disk.ts';

/** `SHLC`, and the version of the format. */
const magic = 0x53484c43;
const version = 1;
const headerBytes = 16;
/** Of the header: 1 where the process that wrote it ended by itself after. It is beside the checksum: it changes. */
const cleanAt = 8;
const checkBytes = 32;
/** Kind, digest, when it came and was used. */
const recordBytes = 1 + hashBytes + 8;
/** Kinds: a digest of twice the length; it was not whole. */
const long = 1;
const lacking = 2;
/** Records of a slice: a few milliseconds. */
const sliceRecords = 10_000;

export type ContentsRecord = {
  readonly digest: Uint8Array;
  readonly whole: boolean;
  /** Seconds since the epoch. */
  readonly came: number;
  readonly used: number;
};
export type Contents = { readonly clean: boolean; readonly count: number; readonly records: Iterable<ToldBlob> };
export type ToldBlob = {
  readonly digest: Digest;
  readonly whole: boolean;
  readonly came: number;
  readonly used: number;
};

/** What the file tells; undefined: it is not there, or cannot be believed. Throws what the disk says. */
export async function readContents(disk: Disk, path: string): Promise<Contents | undefined> {
  const found = await readWhole(disk, path);
  if (found === undefined || found.length < headerBytes + checkBytes) return undefined;
  const bytes = Buffer.from(found.buffer, found.byteOffset, found.length);
  if (bytes.readUInt32BE(0) !== magic || bytes.readUInt32LE(4) !== version) return undefined;
  const end = bytes.length - checkBytes;
  const check = createHash('sha256').update(bytes.subarray(headerBytes, end)).digest();
  if (!check.equals(bytes.subarray(end))) return undefined;
  const count = bytes.readUInt32LE(12);
  const clean = bytes[cleanAt] === 1;
  return { clean, count, records: recordsOf(bytes.subarray(headerBytes, end)) };
}

/** From now on it is not to be relied on, whatever happens to this process. False: it may still be. */
export async function doubtContents(disk: Disk, path: string): Promise<boolean> {
  try {
    const fd = await disk.open(path, 'update');
    try {
      await disk.write(fd, Uint8Array.of(0), cleanAt);
      await disk.sync(fd);
    } finally {
      await disk.close(fd);
    }
    return true;
  } catch (error) {
    if (diskCode(error) === undefined) throw error;
    return false;
  }
}

/** `clean`: nothing is done to the store any more, and everything that it promised to sync is. Throws what the disk says. */
export async function writeContents(
  disk: Disk,
  path: string,
  { records, clean }: { records: Iterable<ContentsRecord>; clean: boolean },
): Promise<void> {
  const aside = `${path}.new`;
  const fd = await disk.open(aside, 'create');
  try {
    let position = headerBytes;
    const check = createHash('sha256');
    let written = 0;
    for await (const slice of slicesOf(records)) {
      check.update(slice.bytes);
      await disk.write(fd, slice.bytes, position);
      position += slice.bytes.length;
      written += slice.records;
    }
    await disk.write(fd, check.digest(), position);
    const header = Buffer.alloc(headerBytes);
    header.writeUInt32BE(magic, 0);
    header.writeUInt32LE(version, 4);
    header[cleanAt] = clean ? 1 : 0;
    header.writeUInt32LE(written, 12);
    await disk.write(fd, header, 0);
    if (clean) await disk.sync(fd);
  } catch (error) {
    await disk.close(fd);
    await unlinkIfThere(disk, aside).catch(() => undefined);
    throw error;
  }
  await disk.close(fd);
  await disk.rename(aside, path);
}

async function* slicesOf(records: Iterable<ContentsRecord>): AsyncGenerator<{ bytes: Uint8Array; records: number }> {
  let bytes = Buffer.allocUnsafe(sliceRecords * (recordBytes + hashBytes));
  let [at, count] = [0, 0];
  for (const { digest, whole, came, used } of records) {
    bytes[at] = (digest.length > hashBytes ? long : 0) | (whole ? 0 : lacking);
    bytes.set(digest, at + 1);
    at += 1 + digest.length;
    bytes.writeUInt32LE(came, at);
    bytes.writeUInt32LE(used, at + 4);
    at += 8;
    count += 1;
    if (count < sliceRecords) continue;
    yield { bytes: bytes.subarray(0, at), records: count };
    bytes = Buffer.allocUnsafe(bytes.length);
    [at, count] = [0, 0];
    await setImmediate();
  }
  if (count > 0) yield { bytes: bytes.subarray(0, at), records: count };
}

function* recordsOf(bytes: Buffer): Generator<ToldBlob, undefined> {
  for (let at = 0; at < bytes.length; ) {
    const kind = bytes[at] as number;
    const digestBytes = (kind & long) === 0 ? hashBytes : 2 * hashBytes;
    const after = at + 1 + digestBytes;
    if (after + 8 > bytes.length) return undefined;
    const hex = bytes.toString('hex', at + 1, after);
    const digest = digestOf(digestBytes === hashBytes ? 'sha256' : 'sha512', hex);
    const [came, used] = [bytes.readUInt32LE(after), bytes.readUInt32LE(after + 4)];
    yield { digest, whole: (kind & lacking) === 0, came, used };
    at = after + 8;
  }
  return undefined;
}
