/**
 * The keys of one issuer, as they are now: fetched when they are first needed, and again in the background.
 *
 * Rule 1: who asks for a key that is here waits for nobody. One that is not here is asked for, by all who wait at once, and at
 *         most every `keysAgainMs`, however many ask.
 * Rule 2: what was fetched holds while nothing can be fetched, for `keptMs`; then nobody is believed.
 * Rule 3: an answer that is wrong changes nothing. Keys that two sides share are none of these: whoever can check a token
 *         could make one.
 */

import type { JSONWebKeySet, JWK } from 'jose';
import { keysUrlValid, type OutsideIssuer } from '../../../core/access/issuers.ts';
import type { Time } from '../../net/clock.ts';
import type { FetchJson } from './fetch.ts';
import { keptMs, keysAgainMs, keysFreshMs, keysMax } from './limits.ts';

export type KeysTold = {
  /** An attempt has ended; `problem`: why it gave no keys. */
  fetched(problem: string | undefined): void;
};

export class IssuerKeys {
  readonly #issuer: OutsideIssuer;
  readonly #fetch: FetchJson;
  readonly #clock: Time;
  readonly #told: KeysTold;
  #keys: { readonly set: JSONWebKeySet; readonly atMs: number } | undefined;
  #triedMs: number | undefined;
  #problem = 'they have not been fetched yet';
  #fetching: Promise<void> | undefined;

  constructor(issuer: OutsideIssuer, o: { readonly fetch: FetchJson; readonly clock: Time; readonly told: KeysTold }) {
    this.#issuer = issuer;
    this.#fetch = o.fetch;
    this.#clock = o.clock;
    this.#told = o.told;
  }

  /** A set that has the key, or one that has not where it cannot be found. Text: why there is none. */
  async with(kid: string | undefined): Promise<JSONWebKeySet | string> {
    const here = this.#held();
    if (here === undefined || (kid !== undefined && !here.keys.some((key) => key.kid === kid))) await this.#again();
    else if (this.#clock.nowMs() - (this.#keys?.atMs ?? 0) >= keysFreshMs) void this.#again();
    return this.#held() ?? this.#problem;
  }

  /** What a token was signed with is none of these: they may be others by now. Whether they are. */
  async changed(from: JSONWebKeySet): Promise<boolean> {
    await this.#again();
    const now = this.#held();
    return now !== undefined && JSON.stringify(now) !== JSON.stringify(from);
  }

  #held(): JSONWebKeySet | undefined {
    if (this.#keys === undefined) return undefined;
    return this.#clock.nowMs() - this.#keys.atMs <= keptMs ? this.#keys.set : undefined;
  }

  /** Never rejects. */
  async #again(): Promise<void> {
    if (this.#fetching !== undefined) return await this.#fetching;
    const nowMs = this.#clock.nowMs();
    if (this.#triedMs !== undefined && nowMs - this.#triedMs < keysAgainMs) return;
    this.#triedMs = nowMs;
    this.#fetching = this.#fetchThem().finally(() => {
      this.#fetching = undefined;
    });
    await this.#fetching;
  }

  async #fetchThem(): Promise<void> {
    try {
      const url = this.#issuer.jwks ?? (await this.#discovered());
      this.#keys = { set: setIn(await this.#fetch(url), url), atMs: this.#clock.nowMs() };
      this.#told.fetched(undefined);
    } catch (error) {
      this.#problem = (error as Error).message;
      this.#told.fetched(this.#problem);
    }
  }

  /** OpenID Connect Discovery 1.0, 4. */
  async #discovered(): Promise<string> {
    const { issuer } = this.#issuer;
    const at = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const { issuer: says, jwks_uri: url } = await this.#fetch(at);
    if (says !== issuer) throw new Error(`GET ${at}: is of another issuer than ${issuer}`);
    if (typeof url !== 'string' || !keysUrlValid(url)) throw new Error(`GET ${at}: its jwks_uri is no https URL`);
    return url;
  }
}

const KINDS: ReadonlySet<unknown> = new Set(['RSA', 'EC', 'OKP']);
/** What a public key is made of, and what it is for. */
const PARTS = ['kty', 'kid', 'use', 'alg', 'n', 'e', 'crv', 'x', 'y'] as const;

function setIn({ keys }: Readonly<Record<string, unknown>>, url: string): JSONWebKeySet {
  if (!Array.isArray(keys)) throw new Error(`GET ${url}: has no list of keys`);
  if (keys.length > keysMax) throw new Error(`GET ${url}: has ${keys.length} keys, and may have ${keysMax}`);
  const found = keys.flatMap((key: unknown) => publicPartOf(key) ?? []);
  if (found.length === 0) throw new Error(`GET ${url}: has no key of RSA, EC or OKP for signatures`);
  return { keys: found };
}

function publicPartOf(key: unknown): JWK | undefined {
  if (typeof key !== 'object' || key === null) return undefined;
  const of = key as Readonly<Record<string, unknown>>;
  if (!KINDS.has(of['kty']) || (of['use'] !== undefined && of['use'] !== 'sig')) return undefined;
  return Object.fromEntries(PARTS.flatMap((part) => (typeof of[part] === 'string' ? [[part, of[part]]] : []))) as JWK;
}
