/**
 * Requests to Kraken's example file server: HEAD, GET and POST of a file, a list of all that is below a directory.
 *
 * Rule 1: a file is at its key as a path. Parts that the server reads otherwise (`:` is `/` there) are written with `%`.
 * Rule 2: that a file is not there is believed once the server has said that it is one of this kind: any server says 404.
 */

import * as z from 'zod';
import { BackendError } from '../backend.ts';
import { keyPartOf, pathPartsOf } from '../file/paths.ts';
import type { WebAnswer } from '../web/answer.ts';
import { type WebOpening, WebRequester } from '../web/requester.ts';
import type { TestfsSettings } from './config.ts';

/** The server lists everything at once: for some 300,000 blobs. */
const listBytesMax = 32 * 1024 * 1024;

export type TestfsAbout = { readonly doing: string; readonly key: string | undefined; readonly signal: AbortSignal };

export class TestfsRequests implements Disposable {
  readonly name: string;
  readonly #web: WebRequester;
  readonly #base: string;
  readonly #root: readonly string[];

  constructor({ address, root }: TestfsSettings, opening: WebOpening) {
    this.name = opening.name;
    this.#web = new WebRequester(opening);
    this.#base = `http://${address}`;
    this.#root = root === '' ? [] : root.split('/');
  }

  /** undefined: there is none. */
  async size(key: string, { doing, signal }: Omit<TestfsAbout, 'key'>): Promise<number | undefined> {
    const about = { doing, key, signal };
    const answer = await this.#asked('HEAD', this.#fileOf(key), about);
    await answer.discard();
    if (answer.status === 404) {
      await this.alive(signal);
      return undefined;
    }
    const size = Number(answer.headers['size'] ?? Number.NaN);
    if (Number.isSafeInteger(size) && size >= 0) return size;
    throw answer.wrong('unavailable', 'does not say the size of the file (Size)');
  }

  /** All of the file's bytes, as they come. */
  async get(key: string, { doing, signal }: Omit<TestfsAbout, 'key'>): Promise<WebAnswer> {
    const answer = await this.#asked('GET', this.#fileOf(key), { doing, key, signal });
    if (answer.status !== 404) return answer;
    await answer.discard();
    await this.alive(signal);
    throw new BackendError('missing', `${this.name}: ${key}: there is no such object`);
  }

  async post(
    key: string,
    { size, chunks }: { readonly size: number; readonly chunks: AsyncIterable<Uint8Array> },
    signal: AbortSignal,
  ): Promise<void> {
    const answer = await this.#web.request({
      ...{ method: 'POST', url: this.#fileOf(key), doing: 'write', object: key, signal, body: chunks },
      headers: { 'content-length': `${size}`, 'content-type': 'application/octet-stream' },
    });
    await answer.discard();
  }

  /** The keys of all files below a directory of keys (`a/b`, '' for all), in no order. */
  async below(directory: string, signal: AbortSignal): Promise<string[]> {
    const about = { doing: 'list', key: directory === '' ? undefined : directory, signal };
    const parts = [...this.#root, ...(directory === '' ? [] : this.#partsOf(directory))];
    const answer = await this.#asked('GET', this.#urlOf('list', parts), about, [500]);
    if (answer.status === 500) {
      // That is how it says that there is no such directory.
      if (/no such file|not a directory/.test(await answer.text())) return [];
      throw answer.wrong('unavailable', 'answers HTTP 500', 'look at its log');
    }
    const paths = z
      .array(z.string())
      .nullable()
      .safeParse(await answer.json(listBytesMax));
    if (!paths.success) throw answer.wrong('unavailable', 'answers JSON that is no list of paths');
    return (paths.data ?? []).flatMap((path) => this.#keyOf(path) ?? []);
  }

  /** It is there, and it is one. */
  async alive(signal: AbortSignal): Promise<void> {
    const url = this.#urlOf('health', []);
    const answer = await this.#asked('GET', url, { doing: 'look at the server', key: undefined, signal });
    if ((await answer.text()) !== 'OK') throw answer.wrong('unavailable', 'is no file server of Kraken');
  }

  [Symbol.dispose](): void {
    this.#web[Symbol.dispose]();
  }

  #asked(method: 'GET' | 'HEAD', url: URL, { doing, key, signal }: TestfsAbout, more: readonly number[] = []) {
    return this.#web.request({ method, url, doing, object: key, signal, expect: [404, ...more] });
  }

  #fileOf(key: string): URL {
    return this.#urlOf('files', [...this.#root, ...this.#partsOf(key)]);
  }

  #urlOf(what: 'files' | 'list' | 'health', parts: readonly string[]): URL {
    return new URL(`${this.#base}/${[what, ...parts.map(encodeURIComponent)].join('/')}`);
  }

  #partsOf(key: string): string[] {
    return pathPartsOf(this.name, key).map((part) => part.replaceAll(':', '%3A'));
  }

  /** undefined: it is none of ours. */
  #keyOf(path: string): string | undefined {
    const parts = path.split('/');
    if (this.#root.some((part, i) => parts[i] !== part)) return undefined;
    const keys = parts.slice(this.#root.length).map((part) => keyPartOf(part.replaceAll('%3A', ':')));
    return keys.includes(undefined) ? undefined : keys.join('/');
  }
}
