/** A range of an object: by parts (parts/read.ts), each a GET of its own that is compared with what was asked for. */

import { GetObjectCommand } from '@aws-sdk/client-s3';
import type { BackendRead } from '../backend.ts';
import { rangeProblem } from '../parts/range.ts';
import { type PartAnswer, type ReadPlan, readParts } from '../parts/read.ts';
import type { S3Requests } from './requests.ts';

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
  const body = answer.Body as AsyncIterable<Uint8Array> | undefined;
  if (body === undefined) throw requests.wrong('damaged', key, 'was answered without bytes');
  async function* chunks(given: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* given;
    } catch (error) {
      requests.fail(error, asked);
    }
  }
  try {
    check({ requests, key }, answer, range);
  } catch (error) {
    (body as { destroy?: () => void }).destroy?.();
    throw error;
  }
  return { version: answer.ETag ?? '', chunks: chunks(body) };
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
