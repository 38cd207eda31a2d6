/**
 * A large object: one upload, whose bytes stream; what is cut goes on where the server stands.
 *
 * Rule 1: nothing is visible before its end, and the end goes out only once the digest of all bytes is right: the last
 *         piece is held back, and goes with the MD5 of all, by which the server refuses another whole.
 * Rule 2: where the server stands is asked of it, never assumed.
 * Rule 3: an upload that is cut off, by its caller or by the server's trouble, is kept to be gone on with; one whose
 *         source gave wrong bytes is given up.
 * Rule 4: what the server made, and is not what it was to be, is removed (by its generation) unless others write there too.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { BackendError, type BackendObject, type ObjectSource } from '../backend.ts';
import { pauseAfter } from '../parts/send.ts';
import { WrongSource } from '../parts/source.ts';
import type { WebAnswer } from '../web/answer.ts';
import { Hashing } from './hashing.ts';
import { cancelMsMax, quantumBytes, uploadCutsMax } from './limits.ts';
import { describing, type GcsObject, objectFields } from './object.ts';
import type { UploadSession, UploadSessions } from './sessions.ts';
import { type GcsWriting, gcsSourceError, lookUp, objectIn, removeGcs } from './write.ts';

export type GcsUploading = GcsWriting & { readonly sessions: UploadSessions; readonly nowMs: () => number };

/** Where an upload stands: so many bytes are there; or it is over, with an object or without one. */
type Stand = number | { readonly made: GcsObject } | 'gone';

/** Google says 404 or 410 of an upload that it has not got any more, and 499 of one that was given up. */
const GONE = [404, 410, 499];

export async function uploadGcs(
  uploading: GcsUploading,
  key: string,
  source: ObjectSource,
  signal: AbortSignal,
): Promise<BackendObject> {
  const { requests, sessions } = uploading;
  const kept = sessions.take(key, source);
  const session = kept ?? (await begin(uploading, { key, source }, signal));
  const upload = new Upload(uploading, session, source);
  try {
    const made = await upload.run(kept !== undefined, signal);
    if (made !== 'gone') return await upload.confirmed(made, signal);
    const there = await upload.madeUnheard(signal);
    if (there !== undefined) return there;
  } catch (error) {
    if (!(error instanceof WrongSource)) {
      // Not one that the server has refused: it would refuse it again.
      const lost = error instanceof BackendError && ['damaged', 'missing', 'refused'].includes(error.why);
      if (!lost) sessions.keep(session);
      throw error;
    }
    await upload.cancel();
    throw gcsSourceError(requests, key, error);
  }
  // One that was begun just now, and is gone, is not worth another one at once.
  if (kept === undefined)
    throw requests.wrong('unavailable', key, 'was being written, and the server has forgotten it');
  return await uploadGcs(uploading, key, source, signal);
}

async function begin(
  { requests, nowMs }: GcsUploading,
  { key, source }: { key: string; source: ObjectSource },
  signal: AbortSignal,
): Promise<UploadSession> {
  const { size, digest } = source;
  const answer = await requests.ask({
    ...{ method: 'POST', doing: 'begin to write', key, at: 'upload', signal },
    query: { uploadType: 'resumable', name: key, fields: objectFields },
    headers: {
      'content-type': 'application/json; charset=UTF-8',
      'x-upload-content-type': 'application/octet-stream',
      'x-upload-content-length': String(size),
    },
    body: Buffer.from(describing(key, { digest })),
  });
  const location = URL.parse(answer.headers['location'] ?? '', answer.url.href);
  await answer.discard();
  if (location === null || (location.protocol !== 'https:' && answer.url.protocol === 'https:'))
    throw requests.wrong('unsupported', key, 'cannot be written: the server names no upload to go on with');
  return { uri: location.href, key, size, digest, begunMs: nowMs() };
}

class Upload {
  readonly #uploading: GcsUploading;
  readonly #session: UploadSession;
  readonly #source: ObjectSource;
  readonly #hashing: Hashing;
  /** Where the last piece begins: a multiple of what Google takes, and never the end. */
  readonly #lastAt: number;
  #ended = false;

  constructor(uploading: GcsUploading, session: UploadSession, source: ObjectSource) {
    this.#uploading = uploading;
    this.#session = session;
    this.#source = source;
    this.#hashing = new Hashing(source);
    this.#lastAt = Math.floor((source.size - 1) / quantumBytes) * quantumBytes;
  }

  /** `kept`: it was begun earlier. */
  async run(kept: boolean, signal: AbortSignal): Promise<GcsObject | 'gone'> {
    let stand: Stand = kept ? await this.#ask(signal) : 0;
    let failures = 0;
    for (let cuts = 0; ; ) {
      if (stand === 'gone') return 'gone';
      if (typeof stand !== 'number') return stand.made;
      const from = stand;
      try {
        stand = from < this.#lastAt ? await this.#stream(from, signal) : await this.#end(from, signal);
        if (stand === from)
          throw this.#wrong('unavailable', `is not written beyond ${from} bytes: the server keeps none`);
      } catch (error) {
        // Damaged bytes stay so: the server has dropped the upload.
        const again = error instanceof BackendError && error.why !== 'damaged';
        const pause = again ? pauseAfter(error, ++failures) : undefined;
        if (pause === undefined || ++cuts > uploadCutsMax) throw error;
        await sleep(pause, undefined, { signal });
        stand = await this.#ask(signal);
      }
      if (typeof stand === 'number' && stand > from) failures = 0;
    }
  }

  /** Whatever else the server may say: it has what we have. */
  async confirmed(made: GcsObject, signal: AbortSignal): Promise<BackendObject> {
    const { size, digest } = this.#source;
    // After an end that was not heard of, nothing has been read yet.
    await this.#hashing.to(size, signal);
    const md5 = this.#hashing.md5();
    if (made.size === size && made.md5 === md5) return { size, digest, version: made.version };
    const { requests, shared } = this.#uploading;
    const { key } = this.#session;
    if (!shared) await removeGcs(requests, { key, generation: made.version }, signal).catch(() => undefined);
    throw this.#wrong(
      'damaged',
      `was written with ${size} bytes of MD5 ${md5}, and the server made ${made.size} of ${made.md5 ?? 'none'}: ${shared ? 'what it made stays there' : 'that was removed'}, and it is written again`,
    );
  }

  /** The server has forgotten it, and its end had gone out: is the object there? */
  async madeUnheard(signal: AbortSignal): Promise<BackendObject | undefined> {
    if (!this.#ended) return undefined;
    const { requests } = this.#uploading;
    const { size, digest } = this.#source;
    const { md5, version, ...there } = await lookUp(requests, this.#session.key, signal);
    return there.size === size && md5 === this.#hashing.md5() ? { size, digest, version } : undefined;
  }

  async cancel(): Promise<void> {
    const asked = { method: 'DELETE' as const, headers: { 'content-length': '0' }, expect: GONE };
    const signal = AbortSignal.timeout(cancelMsMax);
    await this.#send({ ...asked, doing: 'give up writing' }, signal).then(
      (answer) => answer.discard(),
      () => undefined,
    );
  }

  /** All but the last piece. */
  async #stream(from: number, signal: AbortSignal): Promise<Stand> {
    await this.#hashing.to(from, signal);
    const to = this.#lastAt;
    return await this.#put({ from, to, body: this.#hashing.read({ from, to }, signal) }, signal);
  }

  async #end(from: number, signal: AbortSignal): Promise<Stand> {
    const { size } = this.#source;
    const { room } = this.#uploading;
    await this.#hashing.to(from, signal);
    await room.take(quantumBytes, signal);
    try {
      const last: Buffer[] = [];
      for await (const chunk of this.#hashing.read({ from, to: size }, signal)) last.push(Buffer.from(chunk));
      this.#hashing.check();
      const sum = { 'x-goog-hash': `md5=${this.#hashing.md5()}` };
      this.#ended = true;
      return await this.#put({ from, to: size, body: Buffer.concat(last), sum }, signal);
    } finally {
      room.give(quantumBytes);
    }
  }

  async #put(
    { from, to, body, sum = {} }: { from: number; to: number; body: AsyncIterable<Uint8Array> | Buffer; sum?: object },
    signal: AbortSignal,
  ): Promise<Stand> {
    const headers = {
      'content-length': String(to - from),
      'content-range': `bytes ${from}-${to - 1}/${this.#source.size}`,
      ...sum,
    };
    const asked = { method: 'PUT' as const, doing: 'write', headers, body, expect: [308, ...GONE] };
    return await this.#standOf(await this.#send(asked, signal));
  }

  async #ask(signal: AbortSignal): Promise<Stand> {
    const headers = { 'content-length': '0', 'content-range': `bytes */${this.#source.size}` };
    const asked = { method: 'PUT' as const, doing: 'go on writing', headers, expect: [308, ...GONE] };
    return await this.#standOf(await this.#send(asked, signal));
  }

  async #standOf(answer: WebAnswer): Promise<Stand> {
    if (GONE.includes(answer.status)) {
      await answer.discard();
      return 'gone';
    }
    if (answer.status !== 308) return { made: await objectIn(answer) };
    await answer.discard();
    const said = answer.headers['range'];
    const last = /^bytes=0-(\d{1,16})$/.exec(said ?? '')?.[1];
    const stand = last === undefined ? 0 : Number(last) + 1;
    if ((said !== undefined && last === undefined) || stand >= this.#source.size)
      throw this.#wrong('unsupported', `is being written, and the server says that it has ${said} of it`);
    return stand;
  }

  async #send(
    asked: Omit<Parameters<GcsUploading['requests']['toUpload']>[0], 'uri' | 'key' | 'signal'>,
    signal: AbortSignal,
  ): Promise<WebAnswer> {
    const { uri, key } = this.#session;
    return await this.#uploading.requests.toUpload({ ...asked, uri, key, signal });
  }

  #wrong(why: BackendError['why'], words: string): BackendError {
    return this.#uploading.requests.wrong(why, this.#session.key, words);
  }
}
