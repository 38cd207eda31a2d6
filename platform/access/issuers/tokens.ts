/**
 * Tokens of issuers that are not ours, as a proof of who somebody is: as a bearer token, or as the password of whoever
 * logs in with one, under any name.
 *
 * Rule 1: signatures are of two keys (RSA, ECDSA, EdDSA) only: what a token says of its algorithm chooses among these.
 * Rule 2: a token has an end, and is for us by name.
 * Rule 3: why one is refused is told to the log and counted by its cause, and not to who shows it.
 */

import type { JSONWebKeySet, JWTPayload, JWTVerifyOptions } from 'jose';
import { subjectOfClaims } from '../../../core/access/claims.ts';
import type { OutsideIssuer } from '../../../core/access/issuers.ts';
import type { Subject } from '../../../core/access/rights.ts';
import type { Time } from '../../net/clock.ts';
import type { LineLog } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { AccessProof, Prover } from '../prove.ts';
import { type Cause, type TokenRefusal, tokenRefusalOf } from './causes.ts';
import { type FetchEnv, JsonFetcher } from './fetch.ts';
import { IssuerKeys } from './keys.ts';
import { leewaySeconds, tokenLengthMax } from './limits.ts';

/** RFC 7518, 3.1 and RFC 8037, without those that share a key, and without none. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
const looksLikeOne = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

export type IssuedTokensOptions = {
  /** As of now. */
  readonly issuers: () => readonly OutsideIssuer[];
  /** Where a proxy may be named. */
  readonly env: FetchEnv;
  /** For ages. */
  readonly clock: Time;
  /** By the clock on the wall. */
  readonly nowMs: () => number;
  readonly log: LineLog;
  readonly metrics: Metrics;
};

type Known = { readonly issuer: OutsideIssuer; readonly keys: IssuerKeys; readonly fetcher: JsonFetcher };

export class IssuedTokens implements Disposable {
  readonly #options: IssuedTokensOptions;
  readonly #known = new Map<string, Known>();

  constructor(options: IssuedTokensOptions) {
    this.#options = options;
  }

  readonly prover: Prover = async (proof, { address }) => {
    const token = tokenIn(proof);
    if (token === undefined) return undefined;
    const found = await this.#proved(token);
    if (found === undefined || 'groups' in found) return found;
    const { issuer, cause, why } = found;
    this.#options.log.warn({ issuer, cause, why, address }, 'a token was refused');
    this.#options.metrics
      .counter('access_tokens_refused_total', 'Tokens of other issuers that were refused', ['issuer', 'cause'])
      .inc({ issuer, cause });
    return undefined;
  };

  [Symbol.dispose](): void {
    for (const { fetcher } of this.#known.values()) fetcher[Symbol.dispose]();
    this.#known.clear();
  }

  /** undefined: of none of these issuers, so that it is for others to say. */
  async #proved(token: string): Promise<Subject | (TokenRefusal & { readonly issuer: string }) | undefined> {
    const named = await issuerIn(token);
    const issuers = this.#options.issuers().filter(({ issuer }) => issuer === named);
    let refused: (TokenRefusal & { readonly issuer: string }) | undefined;
    // For several audiences an issuer may stand there several times.
    for (const issuer of issuers) {
      const found = await this.#provedBy(issuer, token);
      if ('groups' in found) return found;
      refused = { ...found, issuer: issuer.issuer };
    }
    this.#forget();
    return refused;
  }

  async #provedBy(issuer: OutsideIssuer, token: string): Promise<Subject | TokenRefusal> {
    if (token.length > tokenLengthMax)
      return refused('malformed', `it has ${token.length} characters, and may have ${tokenLengthMax}`);
    const { decodeProtectedHeader } = await import('jose');
    const { keys } = this.#keysOf(issuer);
    try {
      const { kid, alg } = decodeProtectedHeader(token);
      if (!ALGORITHMS.includes(alg ?? '')) return refused('algorithm', `its algorithm is ${shown(alg)}`);
      const set = await keys.with(kid);
      if (typeof set === 'string') return refused('keys', `there are no keys of its issuer: ${set}`);
      return this.#named(issuer, await this.#verified(issuer, token, { set, keys, kid }));
    } catch (error) {
      return tokenRefusalOf(error, this.#options.nowMs());
    }
  }

  #named(issuer: OutsideIssuer, claims: JWTPayload): Subject | TokenRefusal {
    const subject = subjectOfClaims(issuer, claims);
    return typeof subject === 'string' ? refused('claims', subject) : subject;
  }

  /** A token that names no key may be of one that its issuer has had since. */
  async #verified(
    issuer: OutsideIssuer,
    token: string,
    { set, keys, kid }: { readonly set: JSONWebKeySet; readonly keys: IssuerKeys; readonly kid: string | undefined },
  ): Promise<JWTPayload> {
    try {
      return await this.#verify(issuer, token, set);
    } catch (error) {
      if (kid !== undefined || !['key', 'signature'].includes(tokenRefusalOf(error, 0).cause)) throw error;
      if (!(await keys.changed(set))) throw error;
      const now = await keys.with(undefined);
      if (typeof now === 'string') throw error;
      return await this.#verify(issuer, token, now);
    }
  }

  async #verify({ issuer, audience }: OutsideIssuer, token: string, set: JSONWebKeySet): Promise<JWTPayload> {
    const { createLocalJWKSet, jwtVerify } = await import('jose');
    const options: JWTVerifyOptions = {
      ...{ issuer, audience, algorithms: ALGORITHMS, requiredClaims: ['exp'] },
      ...{ clockTolerance: leewaySeconds, currentDate: new Date(this.#options.nowMs()) },
    };
    return (await jwtVerify(token, createLocalJWKSet(set), options)).payload;
  }

  #keysOf(issuer: OutsideIssuer): Known {
    const id = idOf(issuer);
    let known = this.#known.get(id);
    if (known === undefined) {
      const fetcher = new JsonFetcher({ ca: issuer.ca, env: this.#options.env });
      const told = { fetched: (problem: string | undefined) => this.#fetched(issuer, problem) };
      const { clock } = this.#options;
      known = { issuer, fetcher, keys: new IssuerKeys(issuer, { fetch: fetcher.fetch, clock, told }) };
      this.#known.set(id, known);
    }
    return known;
  }

  #fetched({ issuer }: OutsideIssuer, problem: string | undefined): void {
    const { log, metrics } = this.#options;
    if (problem !== undefined) log.warn({ issuer, why: problem }, "an issuer's keys could not be fetched");
    metrics
      .counter('access_keys_fetched_total', "Attempts to fetch other issuers' keys", ['issuer', 'result'])
      .inc({ issuer, result: problem === undefined ? 'ok' : 'failed' });
  }

  /** Of issuers that are not among these any more, or are others by now. */
  #forget(): void {
    const now = new Set(this.#options.issuers().map(idOf));
    for (const [id, { fetcher }] of this.#known)
      if (!now.has(id)) {
        this.#known.delete(id);
        fetcher[Symbol.dispose]();
      }
  }
}

/** Keys are the same for all audiences. */
function idOf({ issuer, jwks, ca }: OutsideIssuer): string {
  return JSON.stringify([issuer, jwks, ca]);
}

function tokenIn(proof: AccessProof): string | undefined {
  const text = proof.kind === 'bearer' ? proof.token : proof.kind === 'basic' ? proof.password : '';
  return looksLikeOne.test(text) ? text : undefined;
}

/** Whose it says that it is; nothing of it is verified. */
async function issuerIn(token: string): Promise<string | undefined> {
  if (token.length > 2 * tokenLengthMax) return undefined;
  try {
    return (await import('jose')).decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

function refused(cause: Cause, why: string): TokenRefusal {
  return { cause, why };
}

function shown(text: string | undefined): string {
  return text === undefined ? 'not said' : JSON.stringify(text.slice(0, 40));
}
