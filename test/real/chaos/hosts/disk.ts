/**
 * A node's disk: a file system of its own in memory, which can be full, or a new one. Full means shrunk to what is in
 * it, which to a writer is the same as a file that fills it, and costs this machine no memory.
 */
import { mkdir, statfs } from 'node:fs/promises';
import { run } from '../../processes.ts';

export type Disk = { readonly path: string; readonly bytes: number };

export async function mountDisk({ path, bytes }: Disk): Promise<void> {
  await mkdir(path, { recursive: true });
  await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0755`, 'tmpfs', path]);
}

export async function fillDisk({ path }: Disk): Promise<void> {
  const { blocks, bfree, bsize } = await statfs(path);
  await run('mount', ['-o', `remount,size=${Math.max(1, blocks - bfree) * bsize}`, path]);
}

export async function emptyDisk({ path, bytes }: Disk): Promise<void> {
  await run('mount', ['-o', `remount,size=${bytes}`, path]);
}

/** Nothing of what was on it is there any more. Nobody may use it now. */
export async function renewDisk(disk: Disk): Promise<void> {
  await run('umount', [disk.path]);
  await mountDisk(disk);
}
