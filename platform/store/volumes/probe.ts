/**
 * How a volume is, as a small write and a look at its id show.
 *
 * Rule: a full disk is no broken one.
 */

import { type Disk, diskCode, readWhole, unlinkIfThere, writeWhole } from '../disk/disk.ts';
import { dataVolume, type Layout } from '../layout.ts';
import { isStill } from './identity.ts';
import type { Volume } from './volume.ts';

export type VolumeHealth = { readonly state: Volume['state']; readonly why: string };

/** Written and removed. One sector. */
const probeBytes = Buffer.alloc(512, 'shoal');
const full: readonly string[] = ['ENOSPC', 'EDQUOT'];

const well: VolumeHealth = { state: 'well', why: '' };

/** What the disk says; the caller bounds how long it may take. `write`: not only whether it is there. */
export async function probe(
  o: { readonly disk: Disk; readonly layout: Layout; readonly role: string },
  volume: Volume,
  write: boolean,
): Promise<VolumeHealth> {
  const { disk, layout } = o;
  const at = layout.volume(volume.no);
  try {
    if (!(await isThere(o, volume)))
      return { state: 'lost', why: 'it is not mounted, or another volume is in its place' };
    volume.freeBytes = await disk.freeBytes(at.dir);
    if (!write) return well;
    try {
      await writeProbe(disk, at.dir);
    } catch (error) {
      // A file system whose journal just failed is read-only from then on.
      if (diskCode(error) !== 'EIO') throw error;
      await writeProbe(disk, at.dir);
    }
    return well;
  } catch (error) {
    const code = diskCode(error);
    if (code === undefined) throw error;
    if (full.includes(code)) return well;
    if (code === 'EROFS')
      return { state: 'read-only', why: 'its file system is read-only: see to the disk, and mount it anew' };
    return { state: 'lost', why: `its disk refuses (${code}): see to it` };
  }
}

async function isThere(
  { disk, layout, role }: { disk: Disk; layout: Layout; role: string },
  volume: Volume,
): Promise<boolean> {
  const at = layout.volume(volume.no);
  if (volume.no !== dataVolume) return await isStill(disk, at, volume.id);
  const version = await readWhole(disk, at.version);
  return version !== undefined && Buffer.from(version).toString('utf8').startsWith(`${role} `);
}

async function writeProbe(disk: Disk, dir: string): Promise<void> {
  const path = `${dir}/probe`;
  await writeWhole(disk, path, { bytes: probeBytes, synced: true });
  await unlinkIfThere(disk, path);
}
