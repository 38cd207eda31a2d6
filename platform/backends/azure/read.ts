/**
 * What a blob holds: a range of it by parts (parts/read.ts), each a download of its own that is compared with what was asked
 * for; a small one at once.
 */

import { BackendError, type BackendRead, type LoadedObject } from '../backend.ts';
import { collected } from '../parts/collect.ts';
import { rangeProblem } from '../parts/range.ts';
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

/** A small one, whole; undefined: there is none. */
export async function loadAzure(
  requests: AzureRequests,
  key: string,
  signal: AbortSignal,
): Promise<LoadedObject | undefined> {
  try {
    const answer = await requests.ask({ method: 'GET', doing: 'read', key, signal });
    const { etag: version = '', 'content-length': size } = answer.headers;
    const bytes = await collected(answer.body(), size === undefined ? undefined : Number(size));
    if (bytes === undefined || (size !== undefined && bytes.length !== Number(size)))
      throw requests.wrong('damaged', key, `came with other than the ${size ?? 'few'} bytes that were announced`);
    if (version === '') throw withoutETag({ requests, key });
    return { bytes, version };
  } catch (error) {
    if (error instanceof BackendError && error.why === 'missing' && error.scope === 'object') return undefined;
    throw error;
  }
}

function withoutETag({ requests, key }: At): BackendError {
  return requests.wrong('unsupported', key, 'is answered without an ETag: what answers may be no Azure');
}

/** Is this the range, of the version, that was asked for? The version. */
function check({ requests, key }: At, { headers }: WebAnswer, range: BackendRead): string {
  const contentLength = Number(headers['content-length']);
  const problem = rangeProblem({ contentRange: headers['content-range'], contentLength }, range);
  if (problem !== undefined) throw requests.wrong(problem.why, key, problem.words);
  const etag = headers['etag'] ?? '';
  if (etag === '') throw withoutETag({ requests, key });
  if (range.version !== undefined && etag !== range.version) throw azureChanged({ requests, key });
  return etag;
}

export function azureChanged({ requests, key }: At) {
  return requests.wrong('changed', key, 'was written anew since its reading began: begin again');
}
