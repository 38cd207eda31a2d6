/**
 * A node's disk: an ext4 of its own on an image, which can be full, answer every request with EIO, or be replaced by a
 * new one. The images lie in memory: what is measured is not this machine's disk, on which others work.
 */
import { mkdir, rm, statfs, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from '../../processes.ts';

export type Disk = {
  /** Where it is mounted. */
  readonly path: string;
  readonly image: string;
  readonly bytes: number;
};

/** All images together. They take what is written to them. */
const imagesBytesMax = 8 * 2 ** 30;
const fillerOf = ({ path }: Disk): string => join(path, 'filler');

export async function mountImages(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await run('mount', ['-t', 'tmpfs', '-o', `size=${imagesBytesMax}`, 'tmpfs', folder]);
}

export async function mountDisk({ path, image, bytes }: Disk): Promise<void> {
  for (const folder of [path, dirname(image)]) await mkdir(folder, { recursive: true });
  await writeFile(image, '');
  await truncate(image, bytes);
  await run('mkfs.ext4', ['-q', '-m', '0', image]);
  await run('mount', ['-o', 'loop', image, path]);
}

/** Until there is no room for a byte: what the first filler leaves, as it needs some itself, a second one takes. */
export async function fillDisk(disk: Disk): Promise<void> {
  for (const part of ['', '2']) {
    const { bavail, bsize } = await statfs(disk.path);
    if (bavail === 0) return;
    await run('fallocate', ['-l', `${bavail * bsize}`, `${fillerOf(disk)}${part}`]).catch(() => undefined);
  }
}

export async function emptyDisk(disk: Disk): Promise<void> {
  for (const part of ['', '2']) await rm(`${fillerOf(disk)}${part}`, { force: true });
}

/** Every request to it is answered EIO from now on. */
export async function breakDisk({ path }: Disk): Promise<void> {
  await run('xfs_io', ['-x', '-c', 'shutdown', path]);
}

/** Nothing of what was on it is there any more. Nobody may use it now. */
export async function renewDisk(disk: Disk): Promise<void> {
  await run('umount', [disk.path]);
  await rm(disk.image);
  await mountDisk(disk);
}
