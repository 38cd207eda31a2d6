/** What an object holds: a range of it by parts (parts/read.ts), each a GET of its own that is compared with what was asked for; a small one at once. */

import { GetObjectCommand, type GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { BackendError, type BackendRead, type LoadedObject, smallBytesMax } from '../backend.ts';
import { collected } from '../parts/collect.ts';
import { rangeProblem } from '../parts/range.ts';
import { type PartAnswer, type ReadPlan, readParts } from '../parts/read.ts';
import type { S3Asked, S3Requests } from './requests.ts';

export type S3Reading = Pick<ReadPlan, 'room' | 'parts'> & { readonly requests: S3Requests };

export function readObject(
  { requests, room, parts }: S3Reading,
  key: string,
  range: BackendRead,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const plan: ReadPlan = {
    room,
    parts,
    open: (part, either) => open({ requests, key }, part, either),
    wrong: (why, words) => requests.wrong(why, key, words),
  };
  return readParts(plan, range, signal);
}

type At = { readonly requests: S3Requests; readonly key: string };

async function open({ requests, key }: At, range: BackendRead, signal: AbortSignal): Promise<PartAnswer> {
  const { start, end, version } = range;
  const asked = { doing: 'read', key, signal };
  const answer = await requests.ask(asked, (client, options) =>
    client.send(
      new GetObjectCommand({
        Bucket: requests.bucket,
        Key: key,
        Range: `bytes=${start}-${end - 1}`,
        ...(version !== undefined && { IfMatch: version }),
      }),
      options,
    ),
  );
  const body = bodyOf({ requests, key }, answer);
  try {
    check({ requests, key }, answer, range);
  } catch (error) {
    body.destroy?.();
    throw error;
  }
  return { version: answer.ETag ?? '', chunks: chunksOf(requests, asked, body) };
}

type Body = AsyncIterable<Uint8Array> & { readonly destroy?: () => void };

function bodyOf({ requests, key }: At, { Body }: GetObjectCommandOutput): Body {
  if (Body === undefined) throw requests.wrong('damaged', key, 'was answered without bytes');
  return Body as Body;
}

async function* chunksOf(requests: S3Requests, asked: S3Asked, body: Body): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    requests.fail(error, asked);
  }
}

/** A small one, whole; undefined: there is none. */
export async function loadObject(
  requests: S3Requests,
  key: string,
  signal: AbortSignal,
): Promise<LoadedObject | undefined> {
  const asked = { doing: 'read', key, signal };
  try {
    const answer = await requests.ask(asked, (client, options) =>
      client.send(new GetObjectCommand({ Bucket: requests.bucket, Key: key }), options),
    );
    const { ETag: version = '', ContentLength: size } = answer;
    const body = bodyOf({ requests, key }, answer);
    const bytes = await collected(chunksOf(requests, asked, body), size ?? smallBytesMax);
    if (bytes === undefined) body.destroy?.();
    if (bytes === undefined || (size !== undefined && bytes.length !== size))
      throw requests.wrong('damaged', key, `came with other than the ${size ?? 'few'} bytes that were announced`);
    return { bytes, version };
  } catch (error) {
    if (error instanceof BackendError && error.why === 'missing' && error.scope === 'object') return undefined;
    throw error;
  }
}

/** Is this the range, of the version, that was asked for? */
function check(
  { requests, key }: At,
  answer: { ContentRange?: string | undefined; ContentLength?: number | undefined; ETag?: string | undefined },
  range: BackendRead,
): void {
  const said = { contentRange: answer.ContentRange, contentLength: answer.ContentLength };
  const problem = rangeProblem(said, range);
  if (problem !== undefined) throw requests.wrong(problem.why, key, problem.words);
  if (range.version !== undefined && answer.ETag !== range.version)
    throw requests.wrong('changed', key, 'was written anew since its reading began: begin again');
}
