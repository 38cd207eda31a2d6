/**
 * Blobs of a registry, read as it gives them: from itself, or from the storage that it sends us to.
 *
 * Rule: exactly the bytes that were asked for come, or it throws. Where ranges are ignored, what is before is passed over.
 */

import { type Digest, parseDigest } from '../../../core/digest.ts';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import type { BackendRead } from '../backend.ts';
import type { WebAnswer } from '../web/answer.ts';
import { pullScopes, type RegistryApi, type RegistryCall } from './api.ts';
import { lengthOf } from './manifests.ts';

/** `repo`: as it is called there. `key`: for messages. */
export type BlobAt = { readonly repo: string; readonly digest: Digest; readonly key: string };

/** Of a storage that was signed for a GET, and is asked by a HEAD; or of a registry without HEAD. */
const NO_HEAD = [400, 403, 405, 501];

export class RegistryBlobs {
  readonly #api: RegistryApi;

  constructor(api: RegistryApi) {
    this.#api = api;
  }

  /** Bytes of the blob; undefined: there is none. */
  async sizeOf(at: BlobAt, signal: AbortSignal): Promise<number | undefined> {
    const call = this.#call('HEAD', at, signal);
    const answer = await this.#api.call({ ...call, expect: [404, ...NO_HEAD] });
    if (answer.status === 404) {
      await this.#api.absent(answer, call);
      return undefined;
    }
    const elsewhere = answer.url.origin !== this.#api.base.origin;
    if (NO_HEAD.includes(answer.status) && !elsewhere && answer.status !== 405) throw await answer.failure();
    this.#api.noHtml(answer);
    this.#same(answer, at);
    const length = NO_HEAD.includes(answer.status) ? undefined : lengthOf(answer);
    await answer.discard();
    return length ?? (await this.#sizeByReading(at, signal));
  }

  /** undefined: there is no such blob. */
  async read(
    at: BlobAt,
    { start, end }: Pick<BackendRead, 'start' | 'end'>,
    signal: AbortSignal,
  ): Promise<AsyncGenerator<Uint8Array> | undefined> {
    const call = this.#call('GET', at, signal, `bytes=${start}-${end - 1}`);
    const answer = await this.#api.call({ ...call, expect: [404, 416] });
    if (answer.status === 404) {
      await this.#api.absent(answer, call);
      return undefined;
    }
    if (answer.status === 416) throw await tooShort(answer, end);
    this.#api.noHtml(answer);
    this.#same(answer, at);
    const { from, total } = placeOf(answer);
    if (from > start) throw await strange(answer, `answers from byte ${from} on, and not from ${start}`);
    if (total !== undefined && total < end) throw await tooShort(answer, end);
    return part(answer, start - from, end - start);
  }

  #call(method: 'GET' | 'HEAD', { repo, digest, key }: BlobAt, signal: AbortSignal, range?: string): RegistryCall {
    const headers = range === undefined ? {} : { range };
    const doing = method === 'HEAD' ? 'look up' : 'read';
    return {
      method,
      path: OCI_PATHS.blob(repo, digest),
      scopes: pullScopes(repo),
      headers,
      signal,
      doing,
      object: key,
    };
  }

  async #sizeByReading(at: BlobAt, signal: AbortSignal): Promise<number | undefined> {
    const call = this.#call('GET', at, signal, 'bytes=0-0');
    const answer = await this.#api.call({ ...call, expect: [404, 416] });
    if (answer.status === 404) {
      await this.#api.absent(answer, call);
      return undefined;
    }
    // Nothing has no first byte.
    const total = answer.status === 416 ? totalIn(answer.headers['content-range']) : placeOf(answer).total;
    await answer.discard();
    if (total !== undefined) return total;
    throw answer.wrong(
      'unsupported',
      'does not say how large it is',
      'the registry is to answer with a Content-Length',
    );
  }

  #same(answer: WebAnswer, { digest }: BlobAt): void {
    const said = parseDigest(answer.headers['docker-content-digest'] ?? '');
    if (said === undefined || said === digest || said.split(':')[0] !== digest.split(':')[0]) return;
    throw answer.wrong('damaged', `answers for ${digest} with ${said}`, 'the registry mixes blobs up: look at it');
  }
}

/** Where the answer begins in the blob, and how large that is. */
function placeOf(answer: WebAnswer): { readonly from: number; readonly total: number | undefined } {
  if (answer.status !== 206) return { from: 0, total: lengthOf(answer) };
  const range = answer.headers['content-range'];
  const from = /^bytes (\d{1,15})-\d{1,15}\/(?:\d{1,15}|\*)$/.exec(range ?? '')?.[1];
  if (from === undefined) throw answer.wrong('damaged', `answers with a part that is none: ${range?.slice(0, 100)}`);
  return { from: Number(from), total: totalIn(range) };
}

function totalIn(range: string | undefined): number | undefined {
  const total = /^bytes .*\/(\d{1,15})$/.exec(range ?? '')?.[1];
  return total === undefined ? undefined : Number(total);
}

async function tooShort(answer: WebAnswer, end: number): Promise<Error> {
  return await strange(answer, `has fewer bytes of it than the ${end} that were asked for`);
}

async function strange(answer: WebAnswer, words: string): Promise<Error> {
  await answer.discard();
  return answer.wrong('damaged', words, 'look at the blob there');
}

async function* part(answer: WebAnswer, skip: number, bytes: number): AsyncGenerator<Uint8Array> {
  let [before, left] = [skip, bytes];
  for await (const chunk of answer.body()) {
    const skipped = Math.min(before, chunk.length);
    before -= skipped;
    const wanted = chunk.subarray(skipped, skipped + left);
    left -= wanted.length;
    if (wanted.length > 0) yield wanted;
    if (left === 0) return;
  }
  throw answer.wrong('damaged', `ended ${left} bytes early`, 'it is read again from there');
}
