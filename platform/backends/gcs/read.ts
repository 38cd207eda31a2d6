/**
 * What an object holds: a range of it by parts (parts/read.ts), each a download of its own that is compared with what was asked for;
 * a small one at once.
 *
 * Rule: bytes as they are stored: of an object that says it is compressed, Google would send others to whoever does not
 *       take gzip, and no ranges.
 */

import { BackendError, type BackendRead, type LoadedObject } from '../backend.ts';
import { collected } from '../parts/collect.ts';
import { rangeProblem } from '../parts/range.ts';
import { type PartAnswer, type ReadPlan, readParts } from '../parts/read.ts';
import type { WebAnswer } from '../web/answer.ts';
import type { GcsRequests } from './requests.ts';

export type GcsReading = Pick<ReadPlan, 'room' | 'parts'> & { readonly requests: GcsRequests };

export function readGcs(
  { requests, room, parts }: GcsReading,
  key: string,
  range: BackendRead,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const open = (part: BackendRead, either: AbortSignal): Promise<PartAnswer> =>
    download({ requests, key }, part, either);
  const wrong: ReadPlan['wrong'] = (why, words) => requests.wrong(why, key, words);
  return readParts({ room, parts, open, wrong }, range, signal);
}

type At = { readonly requests: GcsRequests; readonly key: string };

async function download({ requests, key }: At, range: BackendRead, signal: AbortSignal): Promise<PartAnswer> {
  const { start, end, version } = range;
  if (version !== undefined && !isGeneration(version)) throw changed({ requests, key });
  const answer = await requests.ask({
    ...{ method: 'GET', doing: 'read', key, signal },
    query: { alt: 'media', ifGenerationMatch: version },
    headers: { range: `bytes=${start}-${end - 1}`, 'accept-encoding': 'gzip' },
  });
  try {
    return { version: check({ requests, key }, answer, range), chunks: answer.body() };
  } catch (error) {
    await answer.discard();
    throw error;
  }
}

/** A small one, whole; undefined: there is none. */
export async function loadGcs(
  requests: GcsRequests,
  key: string,
  signal: AbortSignal,
): Promise<LoadedObject | undefined> {
  try {
    const answer = await requests.ask({
      ...{ method: 'GET', doing: 'read', key, signal, query: { alt: 'media' } },
      headers: { 'accept-encoding': 'gzip' },
    });
    const { 'x-goog-generation': version = '', 'content-length': size } = answer.headers;
    const bytes = await collected(answer.body(), size === undefined ? undefined : Number(size));
    if (bytes === undefined || (size !== undefined && bytes.length !== Number(size)))
      throw requests.wrong('damaged', key, `came with other than the ${size ?? 'few'} bytes that were announced`);
    if (!isGeneration(version)) throw withoutGeneration({ requests, key });
    return { bytes, version };
  } catch (error) {
    if (error instanceof BackendError && error.why === 'missing' && error.scope === 'object') return undefined;
    throw error;
  }
}

function withoutGeneration({ requests, key }: At): BackendError {
  return requests.wrong('unsupported', key, 'is answered without a generation: what answers may be no GCS');
}

/** Is this the range, of the generation, that was asked for? The generation. */
function check({ requests, key }: At, { headers }: WebAnswer, range: BackendRead): string {
  const contentLength = Number(headers['content-length']);
  const problem = rangeProblem({ contentRange: headers['content-range'], contentLength }, range);
  if (problem !== undefined) throw requests.wrong(problem.why, key, problem.words);
  const generation = headers['x-goog-generation'] ?? '';
  if (!isGeneration(generation)) throw withoutGeneration({ requests, key });
  if (range.version !== undefined && generation !== range.version) throw changed({ requests, key });
  return generation;
}

export function isGeneration(version: string): boolean {
  return /^\d{1,19}$/.test(version);
}

export function changed({ requests, key }: At) {
  return requests.wrong('changed', key, 'was written anew since its reading began: begin again');
}
