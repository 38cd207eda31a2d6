/** A range of a blob: by parts (parts/read.ts), each a download of its own that is compared with what was asked for. */

import type { BackendRead } from '../backend.ts';
import { type PartAnswer, type ReadPlan, readParts } from '../parts/read.ts';
import type { WebAnswer } from '../web/answer.ts';
import type { AzureRequests } from './requests.ts';

export type AzureReading = Pick<ReadPlan, 'room' | 'parts'> & { readonly requests: AzureRequests };

export function readAzure(
  { requests, room, parts }: AzureReading,
  key: string,
  range: BackendRead,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const open = (part: BackendRead, either: AbortSignal): Promise<PartAnswer> =>
    download({ requests, key }, part, either);
  const wrong: ReadPlan['wrong'] = (why, words) => requests.wrong(why, key, words);
  return readParts({ room, parts, open, wrong }, range, signal);
}

type At = { readonly requests: AzureRequests; readonly key: string };

async function download({ requests, key }: At, range: BackendRead, signal: AbortSignal): Promise<PartAnswer> {
  const { start, end, version } = range;
  const answer = await requests.ask({
    ...{ method: 'GET', doing: 'read', key, signal },
    headers: { range: `bytes=${start}-${end - 1}`, ...(version !== undefined && { 'if-match': version }) },
  });
  try {
    return { version: check({ requests, key }, answer, range), chunks: answer.body() };
  } catch (error) {
    await answer.discard();
    throw error;
  }
}

/** Is this the range, of the version, that was asked for? The version. */
function check({ requests, key }: At, { headers }: WebAnswer, { start, end, version }: BackendRead): string {
  const [, from, to, size] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers['content-range'] ?? '') ?? [];
  const whole = from === undefined && start === 0 && headers['content-length'] === String(end);
  if (from === undefined && !whole)
    throw requests.wrong('unsupported', key, 'cannot be read by ranges: what answers ignores them');
  if (from !== undefined && Number(to) < end - 1)
    throw requests.wrong('damaged', key, `has ${size} bytes, and ${end} were to be there: look at the object`);
  if (from !== undefined && (Number(from) !== start || Number(to) !== end - 1))
    throw requests.wrong('damaged', key, `was asked for bytes ${start} to ${end - 1}, and ${from} to ${to} came`);
  const etag = headers['etag'] ?? '';
  if (etag === '')
    throw requests.wrong('unsupported', key, 'is answered without an ETag: what answers may be no Azure');
  if (version !== undefined && etag !== version) throw azureChanged({ requests, key });
  return etag;
}

export function azureChanged({ requests, key }: At) {
  return requests.wrong('changed', key, 'was written anew since its reading began: begin again');
}
