/**
 * A large blob in blocks: several on their way at once, and made of them by one list at the end. Until then nothing is
 * visible; a write that was cut off leaves its blocks there, to be gone on with.
 *
 * Rule 1: a block is named by its place and the MD5 of its bytes, which the server has compared when it took it. So one
 *         that is there under the name and with the size of ours has our bytes, whoever of us sent it, and a foreign one
 *         has another name.
 * Rule 2: several origins may write one blob at once: their blocks are the same, and the list of the later one finds them
 *         in the blob of the earlier one.
 * Rule 3: it is there once a look-up has confirmed its size and its digest.
 */

import { BackendError, type BackendObject, type ObjectSource } from '../backend.ts';
import { sendParts } from '../parts/send.ts';
import { type SourcePart, WrongSource } from '../parts/source.ts';
import { sumOf } from '../parts/sums.ts';
import { blocksMax } from './limits.ts';
import { type AzureWriting, azureSourceError, confirmSum, digestHeaders, lookUpAzure } from './write.ts';
import { blockList, uncommittedOf } from './xml.ts';

const mebibyte = 1024 * 1024;

/** So many bytes has each block but the last of a blob of `size`. */
export function blockBytes(size: number, wanted: number): number {
  const needed = size / blocksMax;
  return needed <= wanted ? wanted : Math.ceil(needed / mebibyte) * mebibyte;
}

export async function writeInBlocks(
  writing: AzureWriting,
  key: string,
  source: ObjectSource,
  signal: AbortSignal,
): Promise<BackendObject> {
  const { requests, room, parts } = writing;
  const there = await uncommitted(writing, key, signal);
  const cut = { size: blockBytes(source.size, parts.size), sums: 'md5' as const, room };
  const send = async (part: SourcePart, either: AbortSignal): Promise<string> => {
    const id = blockId(part);
    if (there.get(id) !== part.bytes.length) await sendBlock(writing, { key, part, id }, either);
    return id;
  };
  try {
    const ids = await sendParts({ source, cut, parallel: parts.parallel, send }, signal);
    await commit(writing, { key, ids, source }, signal);
  } catch (error) {
    if (error instanceof WrongSource) throw azureSourceError(requests, key, error);
    const unclear = error instanceof BackendError && (error.why === 'unavailable' || error.why === 'stalled');
    if (!unclear || signal.aborted) throw error;
    // An end that was not heard of.
    const made = await confirmed(writing, { key, source }, signal).catch(() => undefined);
    if (made === undefined) throw error;
    return made;
  }
  return await confirmed(writing, { key, source }, signal);
}

/** All names of a blob's blocks have to be equally long. */
function blockId({ number, sum }: SourcePart): string {
  return Buffer.from(`shoal-${String(number).padStart(6, '0')}-${sum.hex}`).toString('base64');
}

async function sendBlock(
  { requests }: AzureWriting,
  { key, part, id }: { key: string; part: SourcePart; id: string },
  signal: AbortSignal,
): Promise<void> {
  const answer = await requests.ask({
    ...{ method: 'PUT', doing: `write block ${part.number} of`, key, body: part.bytes, signal },
    query: { comp: 'block', blockid: id },
    headers: { 'content-md5': part.sum.base64 },
  });
  await answer.discard();
  // Azurite compares, and tells none.
  if (answer.headers['content-md5'] !== undefined) confirmSum({ requests, key }, answer, part.sum);
}

async function commit(
  { requests }: AzureWriting,
  { key, ids, source }: { key: string; ids: readonly string[]; source: ObjectSource },
  signal: AbortSignal,
): Promise<void> {
  const body = Buffer.from(blockList(ids));
  const answer = await requests.ask({
    ...{ method: 'PUT', doing: 'finish writing', key, body, signal },
    query: { comp: 'blocklist' },
    headers: {
      'content-type': 'application/xml',
      'content-md5': sumOf('md5', body).base64,
      'x-ms-blob-content-type': 'application/octet-stream',
      ...digestHeaders(source.digest),
    },
  });
  await answer.discard();
}

/** What cannot be found costs bytes and nothing else. */
async function uncommitted({ requests }: AzureWriting, key: string, signal: AbortSignal): Promise<Map<string, number>> {
  const query = { comp: 'blocklist', blocklisttype: 'uncommitted' };
  try {
    const answer = await requests.ask({ method: 'GET', doing: 'look for blocks of', key, query, signal });
    return uncommittedOf(await answer.text()) ?? new Map();
  } catch {
    signal.throwIfAborted();
    return new Map();
  }
}

async function confirmed(
  { requests }: AzureWriting,
  { key, source }: { key: string; source: ObjectSource },
  signal: AbortSignal,
): Promise<BackendObject> {
  const found = await lookUpAzure(requests, key, signal);
  if (found.size === source.size && found.digest === source.digest) return found;
  throw requests.wrong(
    'damaged',
    key,
    `was written with ${source.size} bytes, and the server says ${found.size} of ${found.digest ?? 'no digest'}: it is written again`,
  );
}
