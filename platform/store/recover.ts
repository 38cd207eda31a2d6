/**
 * What a store does before it serves: whose directory it is, what a crash left, which blobs there are.
 *
 * Rule 1: a directory of another role or format, or in use, is not touched.
 * Rule 2: uploads are removed: nobody was told that they are held. A complete blob never is.
 * Rule 3: what cannot be understood is moved to quarantine/ and named in the log.
 * Rule 4: names that a killed process made and did not sync are synced before anybody is told that we hold the blob.
 *   A shard's own name is: nothing is put in a shard before (names.ts).
 * Rule 5: no blob's file is opened: the names tell all (layout.ts), and a look at each tells whether it is as long as its
 *   name says. Only partial ones have a second file to read.
 * Rule 6: a whole file that is too short is no whole blob. Where the store keeps it stays where it is, as a blob
 *   that lacks pieces: what is left of it may be all that is left anywhere, it is verified piece by piece once its list
 *   of hashes came again, and it is no more evidence elsewhere than here. A cache removes it: it comes anew for less.
 *   Each is named in the log, the first few; so are, where the store keeps, those that are gone altogether, as far
 *   as the last list of what was here tells (a hint: what was removed just before a crash may be among them). Where a list
 *   can be relied on (finding.ts), lengths are compared after the start.
 */

import { setImmediate } from 'node:timers/promises';
import type { Digest } from '../../core/digest.ts';
import { type Metainfo, pieceCount } from '../../core/piece.ts';
import { StartError } from '../lifecycle/errors.ts';
import type { LineLog } from '../telemetry/log.ts';
import { type Disk, diskCode, makeDirectories, readWhole, unlinkIfThere, writeWhole } from './disk/disk.ts';
import {
  ALGORITHM_DIRECTORIES,
  bytesOnDisk,
  dataVolume,
  formatVersion,
  haveSuffix,
  type Layout,
  parseBlobName,
  partSuffix,
} from './layout.ts';
import { PieceBits } from './pieces/remembered.ts';

/** The part of pino's logger that the store uses. */
export type StoreLog = Pick<LineLog, 'info' | 'warn' | 'error'>;

/** `bits` undefined: complete, unless its file has only `shortBytes`. */
export type FoundBlob = {
  readonly digest: Digest;
  readonly meta: Metainfo;
  readonly volume: number;
  readonly bits: PieceBits | undefined;
  readonly shortBytes?: number | undefined;
};
/** Who takes what is found (finding.ts). */
export type ScanInto = {
  readonly begin: () => Promise<void>;
  /** Its file need not be looked at. */
  readonly trusts: (digest: Digest) => boolean;
  /** What was found of it before. */
  readonly get: (digest: Digest) => FoundBlob | undefined;
  readonly put: (blob: FoundBlob) => void;
  /** Those that are not whole. */
  readonly lacking: readonly FoundBlob[];
  /** What was here, and is not. */
  readonly end: () => readonly Digest[];
};
export type RecoverOptions = {
  readonly disk: Disk;
  readonly layout: Layout;
  readonly log: StoreLog;
  readonly synced: boolean;
  readonly keeps: boolean;
  readonly volumes: VolumesThere;
};
type ScanDisk = Pick<
  Disk,
  'open' | 'close' | 'read' | 'size' | 'sizes' | 'stat' | 'list' | 'unlink' | 'rename' | 'syncDirectory'
>;
type ScanOptions = Omit<RecoverOptions, 'disk'> & { readonly disk: ScanDisk };
/** As volumes/volumes.ts has them. */
export type VolumesThere = {
  readonly all: readonly { readonly state: 'well' | 'read-only' | 'lost' }[];
  /** Numbers of those that can be read. */
  readonly there: readonly number[];
  /** It turned out that it cannot. */
  fail(volume: number, why: string): void;
};

/** Directories or files looked at at a time. */
const scanConcurrency = 32;
/** Names of a shard from which on they are many: of some 100,000 blobs. */
const manyNames = 400;
/** Lengths that are asked for at once there: a disk that takes 100 ms for each is slow, and does not hang yet. */
const sizesTogether = 64;
/** Lines for what is damaged or missing; after that, one with the rest's number. */
const namedMax = 20;
/** A volume that is mounted as a data directory comes with it. */
const ofEveryExt4 = 'lost+found';
const SHARD_NAME = /^[0-9a-f]{2}$/;
/** Digests of missing blobs that are handed on: who lost more has lost its disk. */
const missingMax = 10_000;

/** Makes sure that the directory is ours and of our format, takes its lock, makes what is missing. Returns the unlock. */
export async function claim(o: RecoverOptions, role: string): Promise<() => Promise<void>> {
  const { disk } = o;
  const layout = o.layout.volume(dataVolume);
  return await orStartError(layout, async () => {
    await makeDirectories(disk, layout.dir);
    const fresh = await checkVersion(o, role);
    const unlock = await takeLock(o);
    for (const dir of [layout.blobs, layout.uploads, layout.quarantine]) await disk.mkdir(dir);
    for (const algorithm of ALGORITHM_DIRECTORIES) await disk.mkdir(`${layout.blobs}/${algorithm}`);
    if (fresh) {
      await writeWhole(disk, `${layout.version}.new`, {
        bytes: Buffer.from(`${role} ${formatVersion}\n`),
        synced: true,
      });
      await disk.rename(`${layout.version}.new`, layout.version);
    }
    await disk.syncDirectory(layout.blobs);
    await disk.syncDirectory(layout.dir);
    return unlock;
  });
}

/** What the disk refuses keeps the process from starting: says what to see to. */
async function orStartError<T>({ dir }: Pick<Layout, 'dir'>, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (diskCode(error) === undefined) throw error;
    throw new StartError(
      `data directory ${dir} cannot be used (${(error as Error).message}): see to its disk and its owner, or choose another with \`data:\``,
    );
  }
}

/** True where the directory is empty. */
async function checkVersion(o: RecoverOptions, role: string): Promise<boolean> {
  const { disk } = o;
  const layout = o.layout.volume(dataVolume);
  const expected = `${role} ${formatVersion}`;
  const found = await readWhole(disk, layout.version);
  if (found !== undefined) {
    const text = Buffer.from(found).toString('utf8').trim().slice(0, 40);
    if (text === expected) return false;
    throw new StartError(
      `data directory ${layout.dir} is of format "${text}", this process needs "${expected}": choose another with \`data:\``,
    );
  }
  // A crash while the directory was being made leaves some of these.
  const ours = [layout.blobs, layout.uploads, layout.quarantine, layout.lock, layout.pid, `${layout.version}.new`];
  const foreign = (await disk.list(layout.dir)).find(
    (name) => name !== ofEveryExt4 && !ours.some((path) => path.endsWith(`/${name}`) || name.startsWith('lock-')),
  );
  if (foreign === undefined) return true;
  throw new StartError(
    `data directory ${layout.dir} holds files that are not Shoal's (${foreign}): choose an empty one with \`data:\``,
  );
}

async function takeLock(o: RecoverOptions): Promise<() => Promise<void>> {
  const { disk } = o;
  const layout = o.layout.volume(dataVolume);
  try {
    const unlock = await disk.lock(layout.lock);
    await writeWhole(disk, layout.pid, { bytes: Buffer.from(`${process.pid}\n`), synced: false });
    return unlock;
  } catch (error) {
    if (diskCode(error) !== 'EBUSY') throw error;
    const pid = Buffer.from((await readWhole(disk, layout.pid)) ?? [])
      .toString('utf8')
      .trim();
    throw new StartError(
      `data directory ${layout.dir} is in use by process ${pid || '(unknown)'}: stop that one, or choose another with \`data:\``,
    );
  }
}

/** Removes half uploads, then finds the blobs. What was here, and is not: stores that keep only. */
export async function scan(o: RecoverOptions, finding: ScanInto): Promise<readonly Digest[]> {
  return await orStartError(o.layout, () => scanAll(o, finding));
}

async function scanAll(o: RecoverOptions, finding: ScanInto): Promise<readonly Digest[]> {
  const { log } = o;
  await finding.begin();
  for (const volume of o.volumes.there) await scanOrLose(o, volume, finding);
  const missing = finding.end();
  const short = finding.lacking.filter((blob) => blob.shortBytes !== undefined);
  tell(short, (blob) => {
    const fields = { digest: blob.digest, bytes: blob.shortBytes, wanted: bytesOnDisk(blob.meta) };
    log.error(fields, 'a blob has a file that is too short: it counts as damaged until it was fetched or pushed again');
  });
  if (short.length > namedMax) log.error({ more: short.length - namedMax }, 'more blobs have files that are too short');
  if (!o.keeps) return [];
  const why = 'a blob that was here has no file any more: it must be fetched or pushed again';
  tell(missing, (digest) => log.error({ digest }, why));
  if (missing.length > namedMax) log.error({ more: missing.length - namedMax }, 'more blobs have no file any more');
  return missing.slice(0, missingMax);
}

/** What a volume has that was lost and is back. */
export async function scanAgain(o: RecoverOptions, volume: number): Promise<FoundBlob[]> {
  const found: FoundBlob[] = [];
  await scanVolume(o, { volume, trusts: () => false, found: async (blob) => void found.push(blob) });
  return found;
}

/** The data directory must be readable; of the others each costs what is on it. */
async function scanOrLose(o: RecoverOptions, volume: number, finding: ScanInto): Promise<void> {
  const trusts = (digest: Digest): boolean => finding.trusts(digest);
  const found = (blob: FoundBlob): Promise<void> => take(o, blob, finding);
  if (volume === dataVolume) return await scanVolume(o, { volume, trusts, found });
  try {
    const all: FoundBlob[] = [];
    await scanVolume(o, { volume, trusts, found: async (blob) => void all.push(blob) });
    for (const blob of all) await found(blob);
  } catch (error) {
    if (diskCode(error) === undefined) throw error;
    o.volumes.fail(volume, `what is on it cannot be found (${(error as Error).message}): see to its disk`);
  }
}

/** A crash, or a disk that was away, leaves a blob on two volumes: the one that is whole stays. */
async function take(o: RecoverOptions, blob: FoundBlob, finding: ScanInto): Promise<void> {
  const other = finding.get(blob.digest);
  const right = (one: FoundBlob): boolean => one.bits === undefined && one.shortBytes === undefined;
  const stays = other !== undefined && (right(other) || !right(blob)) ? other : blob;
  if (stays === blob) finding.put(blob);
  if (other === undefined) return;
  const goes = stays === blob ? other : blob;
  const file = o.layout.file(goes.digest, goes.meta, { volume: goes.volume, partial: goes.bits !== undefined });
  o.log.warn({ digest: blob.digest, file: file.path }, 'a blob lies on two volumes: one of them is removed');
  const disk = whereReadOnly(o, goes.volume);
  await unlinkIfThere(disk, file.path);
  if (file.partial) await unlinkIfThere(disk, file.have);
}

/** A disk that takes it as done what a read-only volume refuses: nothing that is removed at a start matters there. */
function whereReadOnly({ disk, volumes }: RecoverOptions, volume: number): ScanDisk {
  if (volumes.all[volume]?.state !== 'read-only') return disk;
  const { sizes } = disk;
  const forgiving = async (work: Promise<void>): Promise<void> => {
    try {
      await work;
    } catch (error) {
      if (diskCode(error) !== 'EROFS') throw error;
    }
  };
  return {
    open: (path, mode) => disk.open(path, mode),
    close: (fd) => disk.close(fd),
    read: (fd, into, position) => disk.read(fd, into, position),
    size: (fd) => disk.size(fd),
    ...(sizes !== undefined && { sizes: (dir: string, names: readonly string[]) => sizes.call(disk, dir, names) }),
    stat: (path) => disk.stat(path),
    list: (path) => disk.list(path),
    unlink: (path) => forgiving(disk.unlink(path)),
    rename: (from, to) => forgiving(disk.rename(from, to)),
    syncDirectory: (path) => forgiving(disk.syncDirectory(path)),
  };
}

type Search = {
  readonly volume: number;
  /** Its file need not be looked at. */
  readonly trusts: (digest: Digest) => boolean;
  readonly found: (blob: FoundBlob) => Promise<void>;
};

async function scanVolume(all: RecoverOptions, { volume, trusts, found }: Search): Promise<void> {
  const o = { ...all, disk: whereReadOnly(all, volume) };
  const { disk, layout } = o;
  const { uploads, blobs } = layout.volume(volume);
  for (const name of await disk.list(uploads)) await unlinkIfThere(disk, layout.upload(name, volume));
  for (const algorithm of ALGORITHM_DIRECTORIES) {
    const shards = await disk.list(`${blobs}/${algorithm}`);
    await inParallel(shards, async (shard) => {
      const at = { volume, algorithm, shard, trusts };
      if (!SHARD_NAME.test(shard)) return await setAside(o, at, `${blobs}/${algorithm}/${shard}`);
      for (const blob of await scanShard(o, at)) await found(blob);
    });
  }
}

/** The directory of one volume that is looked at. */
type Shard = Omit<Search, 'found'> & {
  readonly algorithm: (typeof ALGORITHM_DIRECTORIES)[number];
  readonly shard: string;
};

function tell<T>(all: readonly T[], line: (one: T) => void): void {
  for (const one of all.slice(0, namedMax)) line(one);
}

/** Moves what somebody else put among the blobs to where it is in nobody's way. */
async function setAside(
  { disk, layout, log }: ScanOptions,
  { volume, algorithm }: Pick<Shard, 'volume' | 'algorithm'>,
  file: string,
): Promise<void> {
  const name = file.slice(file.lastIndexOf('/') + 1);
  log.warn({ file }, 'a file that is no blob: moved to quarantine');
  await disk.rename(file, `${layout.volume(volume).quarantine}/${algorithm}.${name}`);
}

async function scanShard(o: ScanOptions, at: Shard): Promise<FoundBlob[]> {
  const { disk, layout, log } = o;
  const { volume, algorithm, shard, trusts } = at;
  const dir = `${layout.volume(volume).blobs}/${algorithm}/${shard}`;
  const names = new Set(await disk.list(dir));
  if (o.synced) await disk.syncDirectory(dir);
  const sizes = names.size < manyNames ? undefined : await sizesOf(o, at, { dir, names });
  const found = new Map<Digest, FoundBlob>();
  for (const name of names) {
    const whole = name.endsWith(partSuffix) || name.endsWith(haveSuffix) ? name.slice(0, -partSuffix.length) : name;
    const parsed = parseBlobName(algorithm, whole);
    if (parsed === undefined || !parsed.digest.startsWith(`${algorithm}:${shard}`)) {
      await setAside(o, at, `${dir}/${name}`);
      continue;
    }
    const isPart = name.endsWith(partSuffix);
    const isHave = name.endsWith(haveSuffix);
    const leftOver = isHave ? names.has(whole) || !names.has(whole + partSuffix) : isPart && names.has(whole);
    if (leftOver) await unlinkIfThere(disk, `${dir}/${name}`);
    if (leftOver || isHave) continue;
    const bits = isPart ? await readBits(disk, `${dir}/${whole}${haveSuffix}`, pieceCount(parsed.meta)) : undefined;
    const other = found.get(parsed.digest);
    if (other?.bits === undefined && other !== undefined) continue;
    const known = isPart || trusts(parsed.digest) ? Number.POSITIVE_INFINITY : sizes?.get(name);
    const bytes = known ?? (await disk.stat(`${dir}/${name}`)).size;
    const wanted = bytesOnDisk(parsed.meta);
    if (bytes >= wanted) found.set(parsed.digest, { ...parsed, volume, bits });
    else if (o.keeps) found.set(parsed.digest, { ...parsed, volume, bits, shortBytes: bytes });
    else {
      log.warn({ digest: parsed.digest, bytes, wanted }, 'a cached blob has a file that is too short: removed');
      await unlinkIfThere(disk, `${dir}/${name}`);
    }
  }
  // Whoever watches the disk must not take it for slow because nobody else had a turn.
  if (names.size >= manyNames) await setImmediate();
  return [...found.values()];
}

/** Where there are many, so many at a time cost a fifth. Of those that nobody vouches for, as far as the disk can do that. */
async function sizesOf(
  { disk }: ScanOptions,
  { algorithm, trusts }: Shard,
  { dir, names }: { readonly dir: string; readonly names: ReadonlySet<string> },
): Promise<ReadonlyMap<string, number>> {
  const sizes = new Map<string, number>();
  if (disk.sizes === undefined) return sizes;
  const unsure = [...names].filter((name) => {
    const digest = parseBlobName(algorithm, name)?.digest;
    return digest !== undefined && !trusts(digest);
  });
  for (let at = 0; at < unsure.length; at += sizesTogether) {
    const some = unsure.slice(at, at + sizesTogether);
    for (const [i, size] of (await disk.sizes(dir, some)).entries()) sizes.set(some[i] as string, size);
  }
  return sizes;
}

async function readBits(disk: ScanDisk, path: string, pieces: number): Promise<PieceBits> {
  return new PieceBits(pieces, await readWhole(disk, path));
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const item = items[next] as T;
      next += 1;
      await work(item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(scanConcurrency, items.length) }, lane));
}
