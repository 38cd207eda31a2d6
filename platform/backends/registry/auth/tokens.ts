/**
 * Tokens of a registry's own authority, each for a repository and what may be done there (distribution's token
 * specification, and docker's OAuth form of it for identity tokens).
 *
 * Rule 1: one is held until shortly before it is over, and all who want the same one at once share a request.
 * Rule 2: what we are known by goes to the authority over https; over plain http only where the registry itself is spoken to
 *         so, and to the same host. A registry can send us anywhere.
 */

import { BackendError } from '../../backend.ts';
import type { WebAnswer } from '../../web/answer.ts';
import type { WebCall } from '../../web/call.ts';
import { tokenMarginMs, tokenSecondsDefault, tokensMax } from '../limits.ts';
import { type RegistryLogin, unlessLeft } from './login.ts';

export type TokenRealm = { readonly url: URL; readonly service: string | undefined };
export type TokenAsked = {
  readonly realm: TokenRealm;
  readonly scopes: readonly string[];
  readonly login: RegistryLogin | undefined;
};

export type TokensOptions = {
  readonly backend: string;
  /** Of the registry. */
  readonly base: URL;
  readonly request: (call: WebCall) => Promise<WebAnswer>;
  readonly nowMs: () => number;
  /** Of the backend: ends what nobody waits for any more. */
  readonly ending: AbortSignal;
};

type HeldToken = { readonly token: string; readonly untilMs: number };
const clientId = 'shoal';

export class RegistryTokens {
  readonly #options: TokensOptions;
  readonly #held = new Map<string, HeldToken>();
  readonly #asking = new Map<string, Promise<string>>();

  constructor(options: TokensOptions) {
    this.#options = options;
  }

  async get(asked: TokenAsked, signal: AbortSignal): Promise<string> {
    const key = keyOf(asked);
    const held = this.#held.get(key);
    if (held !== undefined && held.untilMs > this.#options.nowMs()) return held.token;
    const asking =
      this.#asking.get(key) ??
      this.#ask(asked).finally(() => {
        this.#asking.delete(key);
      });
    this.#asking.set(key, asking);
    return await unlessLeft(asking, signal);
  }

  /** A registry has refused it. */
  forget(token: string): void {
    for (const [key, held] of this.#held) if (held.token === token) this.#held.delete(key);
  }

  async #ask(asked: TokenAsked): Promise<string> {
    const { nowMs, request } = this.#options;
    this.#check(asked);
    const askedMs = nowMs();
    const answer = await request(this.#callOf(asked));
    const { token, seconds } = tokenIn(answer, await answer.json());
    const lifeMs = seconds * 1000;
    const key = keyOf(asked);
    this.#held.delete(key);
    this.#held.set(key, { token, untilMs: askedMs + lifeMs - Math.min(tokenMarginMs, lifeMs / 5) });
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= tokensMax) break;
      this.#held.delete(oldest);
    }
    return token;
  }

  #check({ realm: { url }, login }: TokenAsked): void {
    const { backend, base } = this.#options;
    const plain = url.protocol === 'http:';
    if (url.protocol === 'https:') return;
    const refused = (why: string): BackendError =>
      new BackendError(
        'refused',
        `${backend}: the registry ${base.host} sends us for a token to ${url.origin}, ${why}: its realm is to be an https address`,
      );
    if (!plain) throw refused('which is no address of http or https');
    if (base.protocol === 'https:') throw refused('from https to http');
    if (login !== undefined && url.hostname !== base.hostname)
      throw refused('another host, which is not told a password over plain http');
  }

  #callOf({ realm: { url, service }, scopes, login }: TokenAsked): WebCall {
    const call = {
      ...{ signal: this.#options.ending, doing: 'get a token', object: scopes.join(' ') || undefined },
      judge: tokenVerdict,
    };
    if (login?.kind === 'identity') {
      const form = new URLSearchParams({
        grant_type: 'refresh_token',
        client_id: clientId,
        refresh_token: login.token,
      });
      if (service !== undefined) form.set('service', service);
      form.set('scope', scopes.join(' '));
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      return { ...call, method: 'POST', url, headers, body: Buffer.from(form.toString()) };
    }
    const asked = new URL(url);
    if (service !== undefined) asked.searchParams.set('service', service);
    for (const scope of scopes) asked.searchParams.append('scope', scope);
    if (login?.kind !== 'password') return { ...call, method: 'GET', url: asked };
    asked.searchParams.set('account', login.username);
    return { ...call, method: 'GET', url: asked, headers: { authorization: basicOf(login) } };
  }
}

export function basicOf({ username, password }: { readonly username: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function tokenVerdict(status: number) {
  const refused = { why: 'refused', remedy: 'look at the rights of these credentials there' } as const;
  return status === 403 || status === 404 ? refused : undefined;
}

function keyOf({ realm: { url, service = '' }, scopes, login }: TokenAsked): string {
  return JSON.stringify([url.href, service, scopes, login]);
}

/** As `token`, or as OAuth calls it. */
function tokenIn(answer: WebAnswer, body: unknown): { readonly token: string; readonly seconds: number } {
  const said = (typeof body === 'object' && body !== null ? body : {}) as Readonly<Record<string, unknown>>;
  const token = [said['token'], said['access_token']].find((one) => typeof one === 'string' && one !== '');
  if (typeof token !== 'string' || !/^[\x21-\x7e]{1,16000}$/.test(token))
    throw answer.wrong('unavailable', 'answers without a token', 'what answers there is no authority of a registry');
  const given = Number(said['expires_in']);
  return { token, seconds: Number.isFinite(given) && given > 0 ? given : tokenSecondsDefault };
}
