/**
 * What this HDFS can do, as far as it can be asked without writing.
 *
 * Rule: what it does not do is named, with what follows from it. What cannot be asked (it is down, it refuses us) is thrown.
 */

import * as z from 'zod';
import { BackendError } from '../backend.ts';
import type { ChecksumPlan, CrcName } from './checksum.ts';
import type { About, HdfsPlace } from './place.ts';
import { inodePath, isDirectory } from './status.ts';

export type HdfsFeatures = {
  /** How it cuts what is written; undefined: it does not say. */
  readonly plan: ChecksumPlan | undefined;
  /** A file can be named by its id, which is never another one's. */
  readonly ids: boolean;
  readonly list: boolean;
  readonly lacks: readonly string[];
};

const defaultsShape = z.object({
  FsServerDefaults: z.object({ blockSize: z.int(), bytesPerChecksum: z.int(), checksumType: z.int() }),
});
/** Of Hadoop's DataChecksum.Type. */
const crcByType: Readonly<Record<number, CrcName>> = { 1: 'CRC32', 2: 'CRC32C' };
/** What an older Hadoop, or a gateway, says of an operation that it does not know. */
const unknown: readonly BackendError['why'][] = ['refused', 'unsupported'];

export async function featuresOf(place: HdfsPlace, root: string, about: About): Promise<HdfsFeatures> {
  await rootThere(place, root, about);
  const plan = await planOf(place, root, about);
  const ids = await hasIds(place, root, about);
  const snapshots = ids && (await hasSnapshots(place, root, about));
  const list = await knows(place.page(root, undefined, about));
  const lacks = [
    ...(plan === undefined
      ? [
          'it does not say how it cuts files (GETSERVERDEFAULTS, Hadoop 3.1): what is written is confirmed by its length',
        ]
      : []),
    ...(ids ? [] : ['it tells no ids of files (a gateway does not): there are no conditions']),
    ...(snapshots
      ? ['the directory may have snapshots, in which replaced files live on: there are no conditions']
      : []),
    ...(list ? [] : ['it lists no directory in pages (LISTSTATUS_BATCH, Hadoop 2.8): nothing can be restored from it']),
  ];
  return { plan, ids: ids && !snapshots, list, lacks };
}

/** Where the directory is not there, it does not tell that an object is not there. */
export async function rootThere(place: HdfsPlace, root: string, about: About): Promise<void> {
  const there = await place.status(root, about);
  if (there !== undefined && isDirectory(there)) return;
  const what = there === undefined ? 'there is no directory' : 'there is a file and no directory at';
  const text = `${place.web.name}: ${what} ${root || '/'}: make it (hdfs dfs -mkdir), give it to the user, or name another one`;
  throw new BackendError('missing', text, { scope: 'bucket' });
}

async function planOf(place: HdfsPlace, root: string, about: About): Promise<ChecksumPlan | undefined> {
  try {
    const answer = await place.web.ask({ method: 'GET', op: 'GETSERVERDEFAULTS', path: root, ...about });
    const given = defaultsShape.safeParse(await answer.json());
    if (!given.success) return undefined;
    const { blockSize, bytesPerChecksum, checksumType } = given.data.FsServerDefaults;
    const crc = crcByType[checksumType];
    const whole = bytesPerChecksum > 0 && blockSize > 0 && blockSize % bytesPerChecksum === 0;
    return crc === undefined || !whole ? undefined : { blockBytes: blockSize, chunkBytes: bytesPerChecksum, crc };
  } catch (error) {
    if (error instanceof BackendError && unknown.includes(error.why)) return undefined;
    throw error;
  }
}

async function hasIds(place: HdfsPlace, root: string, about: About): Promise<boolean> {
  const { fileId = 0 } = (await place.status(root, about)) ?? {};
  if (fileId <= 0) return false;
  try {
    return (await place.status(inodePath(fileId), about))?.fileId === fileId;
  } catch (error) {
    if (error instanceof BackendError && [...unknown, 'denied'].includes(error.why)) return false;
    throw error;
  }
}

/**
 * Whether the directory, or one above it, may have snapshots; of those below it none is looked for. The root of HDFS always
 * may, as far as it says: it counts once it has one.
 */
async function hasSnapshots(place: HdfsPlace, root: string, about: About): Promise<boolean> {
  const parts = root.split('/').filter((part) => part !== '');
  const above = parts.map((_, i) => `/${parts.slice(0, i + 1).join('/')}`);
  const unasked = (error: unknown): undefined => {
    if (error instanceof BackendError && [...unknown, 'denied'].includes(error.why)) return undefined;
    throw error;
  };
  const those = await place.page('/.snapshot', undefined, about).catch(unasked);
  if (those !== undefined && those.entries.length > 0) return true;
  for (const directory of above)
    if ((await place.status(`${directory}/.snapshot`, about).catch(unasked)) !== undefined) return true;
  return false;
}

async function knows(asked: Promise<unknown>): Promise<boolean> {
  try {
    await asked;
    return true;
  } catch (error) {
    if (error instanceof BackendError && unknown.includes(error.why)) return false;
    throw error;
  }
}
