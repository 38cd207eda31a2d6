/** Pushes of small images through a proxy, a few at a time, for as long as somebody wants them. */

import { request } from 'undici';
import { OCI_PATHS } from '../../core/oci/paths.ts';
import { pushRandom } from '../../harness/blob.ts';
import { imageType, manifestOf } from './fill.ts';

/** Of a config, and a layer. */
const blobBytes = 4_096;
const pushers = 2;
/** A machine that stands still for longer than the grace has a push told to bring its blobs again: clients do. */
const againMax = 5;

/** Milliseconds of each push that ended before `over`. */
export async function pushLatencies(proxy: string, over: Promise<unknown>): Promise<number[]> {
  const took: number[] = [];
  let going = true;
  const pusher = async (no: number): Promise<void> => {
    while (going) {
      const begunMs = performance.now();
      await push(proxy, `pusher-${no}`);
      // One that goes on for longer than what is measured is not of it alone.
      if (going || took.length === 0) took.push(performance.now() - begunMs);
    }
  };
  const all = Promise.all(Array.from({ length: pushers }, (_, no) => pusher(no)));
  // A push that fails ends all at once.
  await Promise.race([over, all]);
  going = false;
  await all;
  return took;
}

async function push(proxy: string, tag: string): Promise<void> {
  for (let again = 0; ; again++) {
    const blobs = [await pushRandom(proxy, blobBytes), await pushRandom(proxy, blobBytes)];
    const body = manifestOf(blobs.map(({ digest, bytes }) => ({ digest, size: bytes })));
    const headers = { 'content-type': imageType };
    const reply = await request(proxy + OCI_PATHS.manifest('bench', tag), { method: 'PUT', body, headers });
    const text = await reply.body.text();
    if (reply.statusCode === 201) return;
    if (reply.statusCode !== 404 || again === againMax)
      throw new Error(`${proxy}: a manifest is answered ${reply.statusCode} ${text.slice(0, 500)}`);
  }
}
