/**
 * Whether a bucket can be used, found out by doing it: an object is written, read, listed and removed under a key of its
 * own; or not removed, where nothing may be.
 */

import { BackendError, type WriteCondition } from '../backend.ts';
import { PartRoom } from '../parts/room.ts';
import { listGcs } from './list.ts';
import { readGcs } from './read.ts';
import type { GcsRequests } from './requests.ts';
import { putGcs, removeGcs } from './write.ts';

type Probe = {
  readonly requests: GcsRequests;
  readonly key: string;
  /** The object stays, the same one each time: others write there as well, so that nothing is removed. */
  readonly stays: boolean;
};

const bytes = Buffer.from('written by shoal to see whether this bucket can be used; may be removed\n');
/** No object has this generation. */
const nobodys = '1';

/** Whether conditions are honoured; throws where it cannot be used at all. */
export async function probeConditions(probe: Probe, signal: AbortSignal): Promise<boolean> {
  const { requests, key, stays } = probe;
  await putGcs(requests, { key, bytes }, signal);
  try {
    const refused = (await refuses(probe, null, signal)) && (await refuses(probe, nobodys, signal));
    const part: Uint8Array[] = [];
    const reading = { requests, room: new PartRoom(0), parts: { size: bytes.length, parallel: 1 } };
    for await (const chunk of readGcs(reading, key, { start: 1, end: 9 }, signal)) part.push(chunk);
    if (!Buffer.concat(part).equals(bytes.subarray(1, 9)))
      throw requests.wrong('damaged', key, 'is read back with other bytes than were written');
    const { objects } = await listGcs(requests, { prefix: key, after: undefined, max: 1 }, signal);
    if (objects[0]?.key !== key) throw requests.wrong('unsupported', key, 'is there, and in no list');
    return refused;
  } finally {
    if (!stays) await removeGcs(requests, { key }, signal).catch(() => undefined);
  }
}

async function refuses(
  { requests, key }: Probe,
  version: WriteCondition['version'],
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await putGcs(requests, { key, bytes, condition: { version } }, signal);
    return false;
  } catch (error) {
    if (error instanceof BackendError && error.why === 'changed') return true;
    throw error;
  }
}
