/** A range of a blob: by parts (parts/read.ts), each a download of its own that is compared with what was asked for. */

import type { BackendRead } from '../backend.ts';
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

/** Is this the range, of the version, that was asked for? The version. */
function check({ requests, key }: At, { headers }: WebAnswer, range: BackendRead): string {
  const contentLength = Number(headers['content-length']);
  const problem = rangeProblem({ contentRange: headers['content-range'], contentLength }, range);
  if (problem !== undefined) throw requests.wrong(problem.why, key, problem.words);
  const etag = headers['etag'] ?? '';
  if (etag === '')
    throw requests.wrong('unsupported', key, 'is answered without an ETag: what answers may be no Azure');
  if (range.version !== undefined && etag !== range.version) throw azureChanged({ requests, key });
  return etag;
}

export function azureChanged({ requests, key }: At) {
  return requests.wrong('changed', key, 'was written anew since its reading began: begin again');
}
