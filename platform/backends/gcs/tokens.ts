/**
 * Tokens of Google's, by its own library: of a service account's key, of workload identity federation, of gcloud's login,
 * of the metadata server. Kept until shortly before they are over; what they come from is looked at again when they, or
 * it, are refused.
 *
 * Rule 1: what the library asks of Google goes out by our own requests: by the proxy, the authority, and the environment
 *         that the backend was opened with, without its retries. Only the metadata server, which is on the host, it asks
 *         itself.
 * Rule 2: a service account's key may say where its tokens are had (`token_uri`): the library takes no notice of it.
 */

import { readFile } from 'node:fs/promises';
import { GoogleAuth, type OAuth2ClientOptions } from 'google-auth-library';
import { BackendError } from '../backend.ts';
import { untilAborted } from '../until.ts';
import type { WebCall } from '../web/call.ts';
import type { WebOpening, WebRequester } from '../web/requester.ts';
import type { WebVerdict } from '../web/verdicts.ts';
import type { GcsSettings } from './config.ts';
import { googleKeyOf } from './key.ts';
import { renewMsMin, tokenMsMax } from './limits.ts';

const scope = 'https://www.googleapis.com/auth/devstorage.read_write';
/** Where the library has tokens for the key of a service account, whatever the key says. */
const googlesTokens = 'https://oauth2.googleapis.com/token';

/** '': requests go without. */
export interface Tokens {
  token(signal: AbortSignal): Promise<string>;
  /** `refused` is over, or wrong: is there another one by now? */
  others(refused: string, signal: AbortSignal): Promise<boolean>;
}

export const noTokens: Tokens = { token: async () => '', others: async () => false };

type Source = () => Promise<string | null | undefined>;

export class GoogleTokens implements Tokens {
  readonly #opening: WebOpening;
  readonly #web: WebRequester;
  readonly #file: string | undefined;
  #source: Promise<Source> | undefined;
  #renewedMs = Number.NEGATIVE_INFINITY;

  constructor(said: Exclude<GcsSettings['credentials'], 'anonymous'>, opening: WebOpening, web: WebRequester) {
    this.#opening = opening;
    this.#web = web;
    const named = opening.env['GOOGLE_APPLICATION_CREDENTIALS'];
    this.#file = said?.file ?? (named === '' ? undefined : named);
  }

  async token(signal: AbortSignal): Promise<string> {
    try {
      return await this.#ask(signal);
    } catch (error) {
      // A key that was replaced since it was read.
      const refused = error instanceof BackendError && error.why === 'credentials';
      if (!refused || !this.#forget()) throw error;
      return await this.#ask(signal);
    }
  }

  async others(refused: string, signal: AbortSignal): Promise<boolean> {
    if ((await this.token(signal)) !== refused) return true;
    return this.#forget() && (await this.token(signal)) !== refused;
  }

  /** Whether it was long enough ago that all was looked up. */
  #forget(): boolean {
    const nowMs = this.#opening.clock.nowMs();
    if (nowMs - this.#renewedMs < renewMsMin) return false;
    this.#renewedMs = nowMs;
    this.#source = undefined;
    return true;
  }

  async #ask(signal: AbortSignal): Promise<string> {
    this.#source ??= this.#look();
    const source = this.#source;
    try {
      const ask = await source;
      const token = await untilAborted(ask(), signal);
      if (typeof token === 'string' && token !== '') return token;
    } catch (error) {
      signal.throwIfAborted();
      if (this.#source === source) this.#source = undefined;
      throw this.#failed(error);
    }
    throw this.#failed(new Error('there is none'));
  }

  async #look(): Promise<Source> {
    const key = this.#file === undefined ? undefined : googleKeyOf(await readFile(this.#file, 'utf8'));
    const tokenUri = key?.tokenUri;
    const fetchImplementation = (input: string | URL | Request, init?: RequestInit): Promise<Response> =>
      this.#fetch(input instanceof Request ? input.url : String(input), init, tokenUri);
    const options: OAuth2ClientOptions = { transporterOptions: { fetchImplementation } };
    if (key === undefined) {
      const auth = new GoogleAuth({ scopes: [scope], clientOptions: options });
      return () => auth.getAccessToken();
    }
    const client = key.client(options, scope);
    return async () => (await client.getAccessToken()).token;
  }

  /** As `fetch`, for the library. */
  async #fetch(url: string, init: RequestInit | undefined, tokenUri: string | undefined): Promise<Response> {
    const to = new URL(url === googlesTokens && tokenUri !== undefined ? tokenUri : url);
    const body = init?.body;
    const answer = await this.#web
      .request({
        method: (init?.method ?? 'GET') as WebCall['method'],
        url: to,
        headers: Object.fromEntries(new Headers(init?.headers)),
        ...(body !== undefined && body !== null && { body: Buffer.from(String(body)) }),
        signal: AbortSignal.timeout(tokenMsMax),
        ...{ doing: 'get a token', object: undefined, judge: tokenVerdict },
      })
      .catch(final);
    const text = await answer.text().catch(final);
    return new Response(text, { status: answer.status, headers: { 'content-type': 'application/json' } });
  }

  #failed(error: unknown): BackendError {
    const ours = causeOf(error);
    if (ours !== undefined) return ours;
    const timeout = (error as Error).name === 'TimeoutError';
    const where = this.#file === undefined ? '' : ` for ${this.#file}`;
    const message = `${this.#opening.name}: cannot get a token${where}: ${(error as Error).message}: ${remedy}`;
    return new BackendError(timeout ? 'stalled' : 'credentials', message, { error });
  }
}

const remedy =
  'name the key of a service account in `credentials` of this rule or in GOOGLE_APPLICATION_CREDENTIALS, or give this host a service account';

function tokenVerdict(status: number): WebVerdict | undefined {
  return status >= 400 && status < 500 && status !== 408 && status !== 429
    ? {
        why: 'credentials',
        remedy: 'the key is refused: it may be deleted or expired, or the clock of this host be off',
      }
    : undefined;
}

/** So that the library does not try it again: that is for whoever called us. */
function final(error: unknown): never {
  throw Object.assign(new Error((error as Error).message, { cause: error }), { code: 'AbortError' });
}

/** Ours, which the library has wrapped. */
function causeOf(error: unknown): BackendError | undefined {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof BackendError) return at;
  return undefined;
}
