/**
 * Requests to a container of Azure's REST API, each allowed by what is allowed at the moment.
 *
 * They are made by our own requester and not by @azure/storage-blob: what breaks off a download of that library is told as
 * "data corruption", its proxies are those of the process's environment, and it brings Arrow and 40 MB. Our tests look at
 * what is there with it.
 *
 * Rule: what is refused for its credentials is made once more where others are found; every body can be sent again.
 */

import { BackendError } from '../backend.ts';
import type { WebAnswer } from '../web/answer.ts';
import type { WebCall } from '../web/call.ts';
import type { WebRequester } from '../web/requester.ts';
import type { Access, AzureAccess } from './access.ts';
import { azureCode, azureVerdict } from './verdicts.ts';

/** Of the service: known to Azurite and to Azure Stack as well; later ones have nothing that is needed. */
const version = '2021-12-02';

export type AzureAsked = {
  readonly method: WebCall['method'];
  readonly doing: string;
  /** Whole. */
  readonly key: string;
  /** `container`: it is asked, and the key is only told; else the blob itself. */
  readonly at?: 'container';
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** In lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | undefined;
  readonly signal: AbortSignal;
};

export class AzureRequests {
  readonly name: string;
  readonly #container: string;
  readonly #web: WebRequester;
  readonly #access: AzureAccess;

  constructor(name: string, container: string, { web, access }: { web: WebRequester; access: AzureAccess }) {
    this.name = name;
    this.#container = container;
    this.#web = web;
    this.#access = access;
  }

  async ask(asked: AzureAsked): Promise<WebAnswer> {
    const { signal } = asked;
    signal.throwIfAborted();
    const access = await this.#access.now(signal);
    try {
      return await this.#once(asked, access);
    } catch (error) {
      const refused = error instanceof BackendError && (error.why === 'credentials' || error.why === 'denied');
      if (!refused || !(await this.#access.others(access, signal).catch(() => false))) throw error;
      return await this.#once(asked, await this.#access.now(signal));
    }
  }

  /** What we found wrong ourselves. */
  wrong(why: BackendError['why'], key: string, words: string): BackendError {
    return new BackendError(why, `${this.name}: ${this.#shown(key)} ${words}`);
  }

  async #once(asked: AzureAsked, access: Access): Promise<WebAnswer> {
    const { method, doing, key, body, signal } = asked;
    let bucket = false;
    const judge: WebCall['judge'] = (status, text, headers) => {
      bucket = /^Container/.test(azureCode(text, headers));
      return azureVerdict(status, text, headers);
    };
    const headers = {
      'x-ms-version': version,
      'x-ms-date': new Date().toUTCString(),
      ...(body !== undefined && { 'content-length': String(body.length) }),
      ...asked.headers,
    };
    const allowed = access.allow({ method, url: this.#url(asked, access), headers });
    const object = this.#shown(key);
    try {
      return await this.#web.request({ ...allowed, ...{ method, doing, object, body, signal, judge } });
    } catch (error) {
      if (!(error instanceof BackendError) || error.why !== 'missing' || !bucket) throw error;
      throw new BackendError('missing', error.message, { error, scope: 'bucket' });
    }
  }

  #url({ key, at, query = {} }: AzureAsked, { endpoint }: Access): URL {
    const container = `${endpoint}/${encodeURIComponent(this.#container)}`;
    // As Azure's own library does: a slash of the key is one of the path.
    const path = key.split('/').map(encodeURIComponent).join('/');
    const url = new URL(at === 'container' ? container : `${container}/${path}`);
    const all = at === 'container' ? { restype: 'container', ...query } : query;
    for (const [name, value] of Object.entries(all)) if (value !== undefined) url.searchParams.set(name, value);
    return url;
  }

  #shown(key: string): string {
    return `azure://${this.#container}/${key}`;
  }
}
