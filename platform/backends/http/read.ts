/**
 * A range of a blob of a web server: by a range where the server has them, else from its start, the bytes before it left.
 *
 * Rule 1: exactly what was asked for comes, of the version that was asked for, or it throws.
 * Rule 2: at most `passedOverBytesMax` are read in vain.
 */

import type { BackendCause, BackendError, BackendObject, BackendRead } from '../backend.ts';
import type { WebAnswer } from '../web/answer.ts';
import { passedOverBytesMax, passedOverToldBytes } from './limits.ts';
import { rangeOf, versionOf, wholeSize } from './object.ts';

export type Readable = {
  stat(): Promise<BackendObject | undefined>;
  get(headers: Readonly<Record<string, string>>): Promise<WebAnswer | 'missing'>;
  wrong(why: BackendCause, words: string): BackendError;
};

export async function* readBlobRange(from: Readable, range: BackendRead): AsyncGenerator<Uint8Array> {
  const { start, end } = range;
  if (start >= end) return await nothing(from, range);
  const answer = await from.get({ range: `bytes=${start}-${end - 1}` });
  if (answer === 'missing') throw from.wrong('missing', 'is not there');
  const problem = problemOf(answer, range);
  if (problem !== undefined) {
    await answer.discard();
    throw from.wrong(...problem);
  }
  let skip = answer.status === 206 ? 0 : start;
  let told = skip;
  let left = end - start;
  for await (const chunk of answer.body()) {
    const passed = Math.min(skip, chunk.length);
    skip -= passed;
    if (passed > 0 && told - skip >= passedOverToldBytes) {
      told = skip;
      yield chunk.subarray(0, 0);
    }
    const wanted = chunk.subarray(passed, passed + left);
    left -= wanted.length;
    if (wanted.length > 0) yield wanted;
    if (left === 0) return;
  }
  throw from.wrong('damaged', `ended ${left} bytes early: it is read again from there`);
}

type Problem = readonly [BackendCause, string];

function problemOf(answer: WebAnswer, range: BackendRead): Problem | undefined {
  if (answer.status === 416)
    return ['damaged', `has not got the bytes from ${range.start} to ${range.end}: look at it`];
  return answer.status === 206 ? ranged(answer, range) : whole(answer, range);
}

async function nothing(from: Readable, { end, version }: BackendRead): Promise<void> {
  const found = await from.stat();
  if (found === undefined) throw from.wrong('missing', 'is not there');
  if (version !== undefined && version !== found.version) throw from.wrong(...anew);
  if (end > found.size) throw from.wrong(...tooShort(found.size, end));
}

function ranged(answer: WebAnswer, { start, end, version }: BackendRead): Problem | undefined {
  const came = rangeOf(answer);
  if (came === undefined) return ['damaged', 'came by a range that the server does not name: look at the server'];
  if (version !== undefined && version !== versionOf(came.size ?? 0, answer)) return anew;
  if (came.start !== start || came.end > end)
    return ['damaged', `was asked for bytes ${start} to ${end}, and ${came.start} to ${came.end} came`];
  return came.end < end ? tooShort(came.size ?? came.end, end) : undefined;
}

function whole(answer: WebAnswer, { start, end, version }: BackendRead): Problem | undefined {
  const size = wholeSize(answer);
  if (version !== undefined && size !== undefined && version !== versionOf(size, answer)) return anew;
  if (size !== undefined && size < end) return tooShort(size, end);
  if (start > passedOverBytesMax)
    return ['unsupported', `cannot be read from byte ${start}: this server has no ranges, and so much is not skipped`];
  return undefined;
}

const anew: Problem = ['changed', 'was written anew since its reading began: begin again'];

function tooShort(size: number, end: number): Problem {
  return ['damaged', `has ${size} bytes, not ${end}: look at it`];
}
