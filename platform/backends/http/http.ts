/**
 * Blobs of a web server, read and never written.
 *
 * Rule 1: a key is what the kind's layout makes (template.ts). Whatever else is asked for is asked of the server as a blob
 *         that nobody has: so it is told whether it answers.
 * Rule 2: credentials and headers of the rule go to its own origin alone.
 * Rule 3: what a page of HTML answers with a 200 is no blob: it is a login, or a proxy.
 */

import { type Backend, BackendError, type BackendObject, type BackendPage, type BackendRead } from '../backend.ts';
import type { WebAnswer } from '../web/answer.ts';
import { authorization } from '../web/auth.ts';
import type { WebCall } from '../web/call.ts';
import { type WebOpening, WebRequester } from '../web/requester.ts';
import type { WebVerdict } from '../web/verdicts.ts';
import { isHtml } from '../web/words.ts';
import type { HttpSettings } from './config.ts';
import { objectOf, rangeOf, wholeSize } from './object.ts';
import { readBlobRange } from './read.ts';
import { askedOf, needsRepo, nobodysDigest, urlOf } from './template.ts';

/** What a server says that knows no HEAD. */
const NO_HEAD: ReadonlySet<number> = new Set([400, 405, 501]);

export class HttpBackend implements Backend {
  readonly kind = 'http';
  readonly can = { conditions: false, list: false, writes: false, records: false };
  readonly name: string;
  readonly #settings: HttpSettings;
  readonly #web: WebRequester;
  /** Found out once: it answers no HEAD, or none with a size. */
  #noHead = false;

  constructor(settings: HttpSettings, opening: WebOpening) {
    this.name = opening.name;
    this.#settings = settings;
    this.#web = new WebRequester(opening, settings);
  }

  /** A blob that nobody has must be one that is not there. */
  async probe(signal: AbortSignal): Promise<void> {
    if ((await this.stat(nobodysDigest, signal)) === undefined) return;
    throw new BackendError(
      'unavailable',
      `${this.name}: it answers with bytes for ${nobodysDigest}, which no bytes have: what answers there is no store of blobs: look at \`download\``,
    );
  }

  async stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    const head = this.#noHead ? undefined : await this.#ask(key, 'HEAD', {}, signal);
    if (head === 'missing') return undefined;
    const size = head === undefined || head.status !== 200 ? undefined : wholeSize(head);
    if (head !== undefined && size !== undefined) return objectOf(size, head);
    const found = await this.#statByOne(key, signal);
    // Only then: a blob that is not there says nothing of how the others are answered.
    if (found !== undefined) this.#noHead = true;
    return found;
  }

  read(key: string, range: BackendRead, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return readBlobRange(
      {
        stat: () => this.stat(key, signal),
        get: async (headers) => await this.#ask(key, 'GET', headers, signal),
        wrong: (why, words) => new BackendError(why, `${this.name}: ${key} ${words}`),
      },
      range,
    );
  }

  write(key: string): Promise<never> {
    return this.#never(key, 'written');
  }

  put(key: string): Promise<never> {
    return this.#never(key, 'written');
  }

  list(prefix: string): Promise<BackendPage> {
    return this.#never(prefix, 'listed');
  }

  remove(key: string): Promise<never> {
    return this.#never(key, 'removed');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#web[Symbol.dispose]();
  }

  async #never(key: string, what: string): Promise<never> {
    throw new BackendError(
      'unsupported',
      `${this.name}: ${key || 'nothing'} can be ${what}: a web server is only read`,
    );
  }

  /** By a GET of the first byte, whose answer says how many there are. */
  async #statByOne(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    const one = await this.#ask(key, 'GET', { range: 'bytes=0-0' }, signal);
    if (one === 'missing') return undefined;
    const size = one.status === 416 ? sizeOfNone(one) : one.status === 206 ? rangeOf(one)?.size : wholeSize(one);
    await one.discard();
    if (size !== undefined) return objectOf(size, one);
    throw one.wrong(
      'unsupported',
      'it tells no size of a blob, neither by a HEAD nor by a range',
      'let it answer with Content-Length, without compressing',
    );
  }

  async #ask(
    key: string,
    method: 'GET' | 'HEAD',
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<WebAnswer | 'missing'> {
    signal.throwIfAborted();
    const { auth, headers: own, redirects } = this.#settings;
    const authorized = auth && { authorization: await authorization(auth, this.name) };
    const call: WebCall = {
      ...{ method, url: this.#urlOf(key), signal, doing: method === 'HEAD' ? 'look up' : 'read', object: key },
      headers: { ...own, ...authorized, ...headers },
      redirects: { max: redirects },
      expect: [404, 410, ...(headers['range'] === 'bytes=0-0' ? [416] : []), ...(method === 'HEAD' ? NO_HEAD : [])],
      judge,
    };
    const answer = await this.#web.request(call);
    if (method === 'HEAD') await answer.discard();
    if (answer.status === 404 || answer.status === 410) {
      await answer.discard();
      return 'missing';
    }
    if (!isHtml(answer.headers['content-type'], '') || answer.status >= 300) return answer;
    await answer.discard();
    throw answer.wrong('unavailable', 'it answers with a page of HTML', 'what answers there may be a login or a proxy');
  }

  #urlOf(key: string): URL {
    const { download } = this.#settings;
    const asked = askedOf(key) ?? { digest: nobodysDigest, repo: undefined };
    if (asked.repo === undefined && needsRepo(download) && askedOf(key) !== undefined && asked.digest !== nobodysDigest)
      throw new BackendError(
        'refused',
        `${this.name}: ${asked.digest} was asked for in no repository, and \`download\` has {repo}: ask for it in one`,
      );
    return urlOf(download, asked.repo === undefined ? { ...asked, repo: '_' } : asked);
  }
}

/** Of a range that there is none of: the blob is empty, if its size is told. */
function sizeOfNone({ headers }: WebAnswer): number | undefined {
  const [, size] = /^bytes \*\/(\d+)$/.exec(headers['content-range'] ?? '') ?? [];
  return size === undefined ? undefined : Number(size);
}

function judge(status: number): WebVerdict | undefined {
  if (status === 401) return { why: 'credentials', remedy: 'look at `auth` of this rule; its file is read each time' };
  if (status === 403)
    return { why: 'denied', remedy: 'allow these credentials to read it; a blob that is not there must be a 404' };
  return undefined;
}
