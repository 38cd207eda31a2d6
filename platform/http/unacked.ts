/**
 * What the kernel still has to send on each TCP connection of this host: bytes that the other side has not
 * acknowledged. It moves with every packet that a client takes, long before the socket has room for more.
 */

import { readFile } from 'node:fs/promises';

/** Columns of a line, split at spaces: … `tx:rx` in hex digits … inode. */
const queuesColumn = 4;
const inodeColumn = 9;

/** By the socket's inode; only of `wanted`. Without Linux's tables: nothing. */
export async function unackedBytes(wanted: ReadonlySet<number>): Promise<ReadonlyMap<number, number>> {
  const unacked = new Map<number, number>();
  for (const table of ['/proc/self/net/tcp', '/proc/self/net/tcp6']) {
    const lines = await readFile(table, 'latin1').catch(() => '');
    for (const line of lines.split('\n')) {
      const columns = line.trim().split(/\s+/);
      const inode = Number(columns[inodeColumn]);
      if (wanted.has(inode)) unacked.set(inode, Number.parseInt(columns[queuesColumn] ?? '', 16));
    }
  }
  return unacked;
}
