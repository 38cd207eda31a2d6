/**
 * Requests to a bucket of Google's JSON API, each with a token of the moment.
 *
 * They are made by our own requester and not by @google-cloud/storage: no call of that library takes a signal, so that
 * what nobody waits for goes on; it buffers what it may have to send again, and takes proxies from the environment of
 * the process.
 *
 * Rule 1: a token that is refused is asked for anew, and the request made once more, where its body can be sent again.
 * Rule 2: a 404 that does not say what is missing is an object only once the bucket has been seen.
 */

import { BackendError } from '../backend.ts';
import type { WebAnswer } from '../web/answer.ts';
import type { WebCall } from '../web/call.ts';
import type { WebRequester } from '../web/requester.ts';
import type { GcsSettings } from './config.ts';
import type { Tokens } from './tokens.ts';
import { gcsVerdict, missingOf } from './verdicts.ts';

export type GcsAsked = {
  readonly method: WebCall['method'];
  readonly doing: string;
  /** Whole; undefined: the bucket is asked. */
  readonly key?: string | undefined;
  /** `upload`: where objects are made; `list`: all of them; else the object itself. */
  readonly at?: 'upload' | 'list';
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal: AbortSignal;
};

export type GcsPlace = Pick<GcsSettings, 'bucket' | 'endpoint' | 'userProject'>;

/** An upload that was begun. Its address is a secret: who has it may write. */
export type UploadAsked = {
  readonly uri: string;
  readonly key: string;
  readonly doing: string;
  readonly method: 'PUT' | 'DELETE';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: WebCall['body'];
  readonly expect: readonly number[];
  readonly signal: AbortSignal;
};

export class GcsRequests {
  readonly name: string;
  readonly #place: GcsPlace;
  readonly #web: WebRequester;
  readonly #tokens: Tokens;

  constructor(name: string, place: GcsPlace, { web, tokens }: { web: WebRequester; tokens: Tokens }) {
    this.name = name;
    this.#place = place;
    this.#web = web;
    this.#tokens = tokens;
  }

  async ask(asked: GcsAsked): Promise<WebAnswer> {
    const { signal } = asked;
    signal.throwIfAborted();
    const token = await this.#tokens.token(signal);
    try {
      return await this.#once(asked, token);
    } catch (error) {
      const refused = error instanceof BackendError && error.why === 'credentials';
      if (!refused || !(await this.#tokens.others(token, signal).catch(() => false))) throw error;
      return await this.#once(asked, await this.#tokens.token(signal));
    }
  }

  /** By the address alone, without a token. */
  async toUpload({ uri, key, ...asked }: UploadAsked): Promise<WebAnswer> {
    return await this.#web.request({ ...asked, url: new URL(uri), object: this.#shown(key), judge: gcsVerdict });
  }

  /** What we found wrong ourselves. */
  wrong(why: BackendError['why'], key: string, words: string): BackendError {
    return new BackendError(why, `${this.name}: ${this.#shown(key)} ${words}`);
  }

  async #once(asked: GcsAsked, token: string): Promise<WebAnswer> {
    const { key, method, doing, body, signal } = asked;
    let missing: ReturnType<typeof missingOf>;
    const judge: WebCall['judge'] = (status, text) => {
      if (status === 404) missing = missingOf(text);
      return gcsVerdict(status, text);
    };
    const authorization = token === '' ? {} : { authorization: `Bearer ${token}` };
    const headers = { ...asked.headers, ...authorization };
    const object = this.#shown(key);
    try {
      return await this.#web.request({
        url: this.#url(asked),
        ...{ method, doing, object, headers, body, signal, judge },
      });
    } catch (error) {
      if (!(error instanceof BackendError) || error.why !== 'missing' || missing === 'object') throw error;
      if (missing === undefined && asked.at !== 'list') await this.#seeBucket(signal);
      if (missing === undefined && asked.at !== 'list') throw error;
      const message = `${error.message.replace(/there is no such object$/, '')}make the bucket, or name the right one in this rule`;
      throw new BackendError('missing', message, { error, scope: 'bucket' });
    }
  }

  /** Throws where there is none. By a list, since few may ask for the bucket itself. */
  async #seeBucket(signal: AbortSignal): Promise<void> {
    const query = { maxResults: '1', fields: 'nextPageToken' };
    const answer = await this.ask({ method: 'GET', doing: 'look for', at: 'list', query, signal });
    await answer.discard();
  }

  #url({ key, at, query = {} }: GcsAsked): URL {
    const { endpoint, bucket, userProject } = this.#place;
    const objects = `storage/v1/b/${encodeURIComponent(bucket)}/o`;
    const path =
      at === 'upload' ? `upload/${objects}` : at === 'list' ? objects : `${objects}/${encodeURIComponent(key ?? '')}`;
    const url = new URL(`${endpoint}/${path}`);
    for (const [name, value] of Object.entries({ ...query, userProject }))
      if (value !== undefined) url.searchParams.set(name, value);
    return url;
  }

  #shown(key: string | undefined): string {
    return key === undefined ? `gs://${this.#place.bucket}` : `gs://${this.#place.bucket}/${key}`;
  }
}
