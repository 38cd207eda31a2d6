/**
 * Requests to a registry, each with what it asks to be shown.
 *
 * Rule 1: what is shown goes to the registry and nowhere else: whoever it sends us to (storage) gets no credentials.
 * Rule 2: that something is not there counts if a registry says so. Any web server answers 404.
 */

import { repositoryLengthMax } from '../../../core/oci/limits.ts';
import { repositoryValid } from '../../../core/oci/name.ts';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { BackendError } from '../backend.ts';
import type { Opening } from '../kind.ts';
import type { WebAnswer } from '../web/answer.ts';
import type { WebCall } from '../web/call.ts';
import { errorBytesMax } from '../web/limits.ts';
import { WebRequester } from '../web/requester.ts';
import { isHtml } from '../web/words.ts';
import { RegistryAuthorization } from './auth/authorization.ts';
import { RegistryLogins } from './auth/login.ts';
import { loginSource } from './auth/sources.ts';
import { RegistryTokens } from './auth/tokens.ts';
import type { RegistrySettings } from './config.ts';
import { provedMs, refusalsMax, registryHopsMax } from './limits.ts';
import { theirName } from './namespace.ts';
import { errorCodeIn, registryVerdict } from './verdicts.ts';

/** `path`: of OCI_PATHS, or where the registry said that an upload is. */
export type RegistryCall = Omit<WebCall, 'url' | 'judge' | 'redirects'> & {
  readonly path: string | URL;
  readonly scopes: readonly string[];
};

export class RegistryApi implements Disposable {
  readonly name: string;
  readonly base: URL;
  readonly #settings: RegistrySettings;
  readonly #requester: WebRequester;
  readonly #authorization: RegistryAuthorization;
  readonly #nowMs: () => number;
  readonly #ending = new AbortController();
  #provedAtMs = Number.NEGATIVE_INFINITY;

  constructor(settings: RegistrySettings, opening: Pick<Opening, 'name' | 'stallMs' | 'env' | 'clock'>) {
    this.name = opening.name;
    this.base = new URL(`${settings.plainHttp ? 'http' : 'https'}://${settings.address}`);
    this.#settings = settings;
    this.#requester = new WebRequester(opening, settings);
    this.#nowMs = () => opening.clock.nowMs();
    const request = (call: WebCall): Promise<WebAnswer> => this.#requester.request(call);
    const { base } = this;
    const source = loginSource(settings.credentials, {
      ...{ backend: this.name, base, env: opening.env, request, stallMs: opening.stallMs },
    });
    const tokens = new RegistryTokens({
      ...{ backend: this.name, base, request, nowMs: this.#nowMs, ending: this.#ending.signal },
    });
    const logins = new RegistryLogins(this.name, source, this.#nowMs);
    this.#authorization = new RegistryAuthorization({ logins, tokens, base });
  }

  [Symbol.dispose](): void {
    this.#ending.abort(new Error('the backend is closing'));
    this.#requester[Symbol.dispose]();
  }

  /** What `repo` is called there. */
  nameOf(repo: string, key: string): string {
    const theirs = theirName(this.#settings.namespace, repo);
    if (theirs !== undefined && repositoryValid(theirs)) return theirs;
    const { from } = this.#settings.namespace;
    if (theirs !== undefined)
      throw new BackendError(
        'refused',
        `${this.name}: ${key}: ${theirs} is no repository's name there (more than ${repositoryLengthMax} characters): look at \`namespace\` of this rule`,
      );
    throw new BackendError(
      'refused',
      `${this.name}: ${key}: ${repo} does not begin with ${from}/, the \`namespace.from\` of this rule's registry: look at the rule's \`repositories\``,
    );
  }

  async call(call: RegistryCall): Promise<WebAnswer> {
    const { path, scopes, signal, headers, expect = [], ...more } = call;
    const url = typeof path === 'string' ? new URL(path, this.base) : path;
    const plain = { ...more, url, signal, judge: registryVerdict, redirects: { max: registryHopsMax } };
    let shown = await this.#authorization.show(scopes, signal);
    for (let refusals = 0; ; ) {
      const own = shown.header === undefined ? headers : { ...headers, authorization: shown.header };
      const answer = await this.#requester.request({ ...plain, headers: own, expect: [401, ...expect] });
      if (answer.status !== 401 || answer.url.origin !== this.base.origin) return await this.#expected(answer, expect);
      refusals += 1;
      if (refusals > refusalsMax) throw await this.#authorization.final(answer, shown);
      shown = await this.#authorization.instead(answer, shown, { scopes, signal });
      // What has gone out is gone; with another token it is taken up where the server stands.
      if (call.body !== undefined && !(call.body instanceof Uint8Array))
        throw answer.wrong('unavailable', 'HTTP 401', 'the token was over: it is tried again with a new one');
    }
  }

  /** Of an answer with status 404: returns if a registry says so, throws if it is none. */
  async absent(answer: WebAnswer, call: Pick<RegistryCall, 'method' | 'signal'>): Promise<void> {
    const type = answer.headers['content-type'];
    const text = call.method === 'HEAD' ? '' : await answer.text(errorBytesMax).catch(() => '');
    if (call.method === 'HEAD') await answer.discard();
    const json = /\bjson\b/i.test(type ?? '') || errorCodeIn(text) !== undefined;
    if (json || answer.headers['docker-distribution-api-version'] !== undefined) return;
    if (isHtml(type, text))
      throw answer.wrong(
        'unavailable',
        'HTTP 404 with a page of HTML',
        'what answers there is no registry: look at `address` of this rule',
      );
    await this.prove(call.signal);
  }

  /** That this is a registry, which lets us in. */
  async prove(signal: AbortSignal, fresh = false): Promise<void> {
    if (!fresh && this.#nowMs() - this.#provedAtMs < provedMs) return;
    const about = { method: 'GET', scopes: [], doing: 'ask whether this is a registry', object: undefined } as const;
    const answer = await this.call({ ...about, path: OCI_PATHS.base, signal });
    this.noHtml(answer);
    await answer.discard();
    this.#provedAtMs = this.#nowMs();
  }

  /** Of an answer that is none of a registry's, whatever its status says. */
  noHtml(answer: WebAnswer): void {
    if (answer.url.origin === this.base.origin && isHtml(answer.headers['content-type'], ''))
      throw answer.wrong(
        'unavailable',
        `HTTP ${answer.status} with a page of HTML`,
        'what answers there is no registry: look at `address` of this rule',
      );
  }

  /** A status that is expected of us, but that a 401 of somebody else's made it through. */
  async #expected(answer: WebAnswer, expect: readonly number[]): Promise<WebAnswer> {
    if (answer.status === 401 && !expect.includes(401)) throw await answer.failure();
    return answer;
  }
}

export function pullScopes(repo: string): readonly string[] {
  return [`repository:${repo}:pull`];
}

/** A registry that grants no `delete` grants the others. */
export function deleteScopes(repo: string): readonly string[] {
  return [`repository:${repo}:pull,push,delete`];
}

export function pushScopes(repo: string): readonly string[] {
  return [`repository:${repo}:pull,push`];
}
