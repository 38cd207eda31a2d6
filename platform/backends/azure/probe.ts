/**
 * Whether a container can be used, found out by doing it: a blob is written, read, listed and removed under a key of its
 * own; or not removed, where nothing may be.
 */

import { BackendError, type WriteCondition } from '../backend.ts';
import { PartRoom } from '../parts/room.ts';
import type { AzureLists } from './list.ts';
import { readAzure } from './read.ts';
import type { AzureRequests } from './requests.ts';
import { putAzure, removeAzure } from './write.ts';

type Probe = {
  readonly requests: AzureRequests;
  readonly lists: AzureLists;
  readonly key: string;
  /** The blob stays, the same one each time: others write there as well, so that nothing is removed. */
  readonly stays: boolean;
};

const bytes = Buffer.from('written by shoal to see whether this container can be used; may be removed\n');
/** No blob has this version. */
const nobodys = '"0x8D000000000000"';

/** Whether conditions are honoured; throws where it cannot be used at all. */
export async function probeContainer(probe: Probe, signal: AbortSignal): Promise<boolean> {
  const { requests, lists, key, stays } = probe;
  await putAzure(requests, { key, bytes }, signal);
  try {
    const refused = (await refuses(probe, null, signal)) && (await refuses(probe, nobodys, signal));
    const part: Uint8Array[] = [];
    const reading = { requests, room: new PartRoom(0), parts: { size: bytes.length, parallel: 1 } };
    for await (const chunk of readAzure(reading, key, { start: 1, end: 9 }, signal)) part.push(chunk);
    if (!Buffer.concat(part).equals(bytes.subarray(1, 9)))
      throw requests.wrong('damaged', key, 'is read back with other bytes than were written');
    const { objects } = await lists.page({ prefix: key, after: undefined, max: 1 }, signal);
    if (objects[0]?.key !== key) throw requests.wrong('unsupported', key, 'is there, and in no list');
    return refused;
  } finally {
    if (!stays) await removeAzure(requests, key, signal).catch(() => undefined);
  }
}

async function refuses(
  { requests, key }: Probe,
  version: WriteCondition['version'],
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await putAzure(requests, { key, bytes, condition: { version } }, signal);
    return false;
  } catch (error) {
    if (error instanceof BackendError && error.why === 'changed') return true;
    throw error;
  }
}
