/**
 * Which volume it is that is mounted at a path.
 *
 *   PATH/volume      its id, 32 hex digits, drawn when it was made
 *   PATH/version     `ROLE-volume N`
 *   DIR/volumes      a line for each that this store has had: its id, and the path it was last at
 *
 * Rule 1: where a known volume was, an empty directory is not that volume, and is no new one either: it is a mount point
 *   with nothing mounted, and nothing is written there. A new disk is taken once somebody says that it is one, by an
 *   empty file named `new-volume`.
 * Rule 2: a volume is known by its id, wherever it is mounted; at a path that had none, a volume that another store
 *   had is taken with what is on it. In the place of one of ours, one that we do not know is a mistake.
 * Rule 3: the volume is made before the list names it, the id last of all: a crash between leaves an empty directory, or
 *   a volume that is taken.
 */

import { randomBytes } from 'node:crypto';
import { type Disk, diskCode, readWhole, unlinkIfThere, writeWhole } from '../disk/disk.ts';
import { ALGORITHM_DIRECTORIES, formatVersion, type Layout, type VolumeLayout } from '../layout.ts';

/** What makes an empty directory a new volume in the place of a known one. */
const newVolumeName = 'new-volume';
/** What an empty file system may have, and what a crash leaves of a volume that was being made. */
const ofNobody: readonly string[] = ['lost+found', newVolumeName, 'probe'];
const idPattern = /^[0-9a-f]{32}$/;
/** Lines of `DIR/volumes`; those that were seen last are kept. */
const knownMax = 1024;

export type KnownVolume = { readonly id: string; readonly path: string };

/** `wrong` of a configuration, rather than of a disk: it can never be right. */
export type Identified =
  | { readonly kind: 'ours'; readonly id: string }
  | { readonly kind: 'fresh' }
  | { readonly kind: 'lost' | 'wrong'; readonly why: string };

export async function identify(
  o: { readonly disk: Disk; readonly role: string },
  at: VolumeLayout,
  known: readonly KnownVolume[],
): Promise<Identified> {
  const { disk, role } = o;
  const here = known.find(({ path }) => path === at.dir);
  let names: string[];
  try {
    names = await disk.list(at.dir);
  } catch (error) {
    if (diskCode(error) === 'ENOENT' && here === undefined)
      return { kind: 'wrong', why: `there is no directory ${at.dir}: mount the disk there, or make it` };
    throw error;
  }
  const found = await readText(disk, at.mark);
  const version = await readText(disk, at.version);
  const expected = versionOf(role);
  if (version !== undefined && version !== expected)
    return { kind: 'wrong', why: `${at.dir} is of format "${version}", this process needs "${expected}"` };
  if (found !== undefined && idPattern.test(found)) {
    if (here === undefined || here.id === found || known.some(({ id }) => id === found))
      return { kind: 'ours', id: found };
    return { kind: 'lost', why: `another volume (${found}) is mounted in its place` };
  }
  const ours = [
    at.blobs,
    at.uploads,
    at.quarantine,
    at.version,
    at.lock,
    at.pid,
    `${at.version}.new`,
    `${at.mark}.new`,
  ];
  const foreign = names.find(
    (name) => !ofNobody.includes(name) && !ours.includes(`${at.dir}/${name}`) && !name.startsWith('lock-'),
  );
  if (foreign !== undefined && here === undefined)
    return { kind: 'wrong', why: `${at.dir} holds files that are not Shoal's (${foreign})` };
  if (here === undefined || (foreign === undefined && names.includes(newVolumeName))) return { kind: 'fresh' };
  const mend = `mount it, or, if a new disk is to take its place, make an empty file ${at.dir}/${newVolumeName}`;
  return { kind: 'lost', why: `it is not mounted: ${mend}` };
}

/** Makes a volume of an empty directory. Its id. */
export async function make(o: { readonly disk: Disk; readonly role: string }, at: VolumeLayout): Promise<string> {
  const { disk, role } = o;
  await makeVolumeDirectories(disk, at);
  await replace(disk, at.version, `${versionOf(role)}\n`);
  const id = randomBytes(16).toString('hex');
  await replace(disk, at.mark, `${id}\n`);
  await disk.syncDirectory(at.dir);
  await unlinkIfThere(disk, `${at.dir}/${newVolumeName}`);
  return id;
}

/** Those of a volume that are missing. */
export async function makeVolumeDirectories(disk: Disk, at: VolumeLayout): Promise<void> {
  for (const dir of [at.blobs, at.uploads, at.quarantine]) await disk.mkdir(dir);
  for (const algorithm of ALGORITHM_DIRECTORIES) await disk.mkdir(`${at.blobs}/${algorithm}`);
  await disk.syncDirectory(at.blobs);
  await disk.syncDirectory(at.dir);
}

/** Whether the volume at the path is still the one that it was. */
export async function isStill(disk: Disk, at: VolumeLayout, id: string): Promise<boolean> {
  return (await readText(disk, at.mark)) === id;
}

export async function readKnown(disk: Disk, layout: Layout): Promise<KnownVolume[]> {
  const text = (await readText(disk, layout.known)) ?? '';
  return text.split('\n').flatMap((line) => {
    const [, id, path] = /^([0-9a-f]{32}) (.+)$/.exec(line) ?? [];
    return id === undefined || path === undefined ? [] : [{ id, path }];
  });
}

/** Those that were seen now are last; a path has one volume. */
export async function noteKnown(
  disk: Disk,
  layout: Layout,
  o: { before: readonly KnownVolume[]; now: readonly KnownVolume[] },
): Promise<KnownVolume[]> {
  const seen = (one: KnownVolume): boolean => o.now.some(({ id, path }) => id === one.id || path === one.path);
  const all = [...o.before.filter((one) => !seen(one)), ...o.now].slice(-knownMax);
  const text = linesOf(all);
  if (text === linesOf(o.before)) return all;
  await replace(disk, layout.known, text);
  await disk.syncDirectory(layout.dir);
  return all;
}

function linesOf(known: readonly KnownVolume[]): string {
  return known.map(({ id, path }) => `${id} ${path}\n`).join('');
}

function versionOf(role: string): string {
  return `${role}-volume ${formatVersion}`;
}

async function readText(disk: Disk, path: string): Promise<string | undefined> {
  const bytes = await readWhole(disk, path);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8').trim();
}

async function replace(disk: Disk, path: string, text: string): Promise<void> {
  await writeWhole(disk, `${path}.new`, { bytes: Buffer.from(text), synced: true });
  await disk.rename(`${path}.new`, path);
}
