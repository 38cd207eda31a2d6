/**
 * What a request shows a registry: nothing, a user and password, or a token; found out by what the registry asks for, and
 * then shown at once.
 *
 * Rule 1: nothing is shown that was not asked for, but a token that the rule itself names.
 * Rule 2: what is refused is tried once more with a new token, or with what we are known by now. Then the error says whether
 *         it is wrong altogether (`credentials`: nobody gets in) or does not reach so far (`refused`: this repository).
 * Rule 3: an authority that gave no token is not gone to first again: the registry is asked anew whom it wants, which may have
 *         moved, or have been named by somebody else for a moment.
 */

import { BackendError } from '../../backend.ts';
import type { WebAnswer } from '../../web/answer.ts';
import { challengesIn } from './challenge.ts';
import type { RegistryLogin, RegistryLogins } from './login.ts';
import { basicOf, type RegistryTokens, type TokenRealm } from './tokens.ts';

type Wanted = { readonly kind: 'basic' } | { readonly kind: 'bearer'; readonly realm: TokenRealm };
type Bearer = { readonly scopes: readonly string[]; readonly login: RegistryLogin | undefined };
export type Shown = { readonly header: string | undefined; readonly login: RegistryLogin | undefined };

export class RegistryAuthorization {
  readonly #logins: RegistryLogins;
  readonly #tokens: RegistryTokens;
  readonly #base: URL;
  #wanted: Wanted | undefined;

  constructor(of: { readonly logins: RegistryLogins; readonly tokens: RegistryTokens; readonly base: URL }) {
    this.#logins = of.logins;
    this.#tokens = of.tokens;
    this.#base = of.base;
  }

  async show(scopes: readonly string[], signal: AbortSignal): Promise<Shown> {
    const login = await this.#logins.get(signal);
    return await this.#showAs(login, scopes, signal);
  }

  /** After a 401 to `shown`, which is read. Throws where there is nothing else to show. */
  async instead(
    answer: WebAnswer,
    shown: Shown,
    { scopes, signal }: { readonly scopes: readonly string[]; readonly signal: AbortSignal },
  ): Promise<Shown> {
    const challenges = challengesIn(answer.headers['www-authenticate']);
    const bearer = challenges.find(({ scheme, params }) => scheme === 'bearer' && params['realm'] !== undefined);
    const basic = challenges.some(({ scheme }) => scheme === 'basic');
    const realm = bearer && URL.parse(bearer.params['realm'] ?? '', this.#base.href);
    if (realm) this.#wanted = { kind: 'bearer', realm: { url: realm, service: bearer?.params['service'] } };
    else if (basic) this.#wanted = { kind: 'basic' };
    else throw await this.#refusal(answer, shown, false);
    const login = await this.#loginAfter(answer, shown, signal);
    const wanted = bearer?.params['scope']?.split(' ').filter((scope) => scope !== '') ?? scopes;
    return await this.#showAs(login, wanted, signal);
  }

  /** The error of a 401 that stays. */
  async #refusal(answer: WebAnswer, { header, login }: Shown, reaches: boolean): Promise<BackendError> {
    if (reaches) {
      const remedy = 'these credentials do not reach so far, or there is no such repository: look at their rights';
      return await answer.failure({ why: 'refused', remedy });
    }
    const what = login?.kind === 'password' ? 'this user and password' : 'this token';
    const remedy =
      login === undefined && header === undefined
        ? 'it wants credentials: give `credentials` in this rule'
        : `the registry does not take ${what}: look at ${this.#logins.name}`;
    return await answer.failure({ why: 'credentials', remedy });
  }

  async #loginAfter(answer: WebAnswer, shown: Shown, signal: AbortSignal): Promise<RegistryLogin | undefined> {
    const { header, login } = shown;
    if (header === undefined) {
      if (this.#wanted?.kind === 'basic' && login?.kind !== 'password')
        throw await this.#refusal(answer, { header, login: undefined }, false);
      await answer.discard();
      return login;
    }
    const [scheme, token = ''] = header.split(' ');
    if (scheme === 'Bearer' && login?.kind !== 'bearer') {
      // It was ours from a while ago perhaps; a new one tells.
      this.#tokens.forget(token);
      await answer.discard();
      return login;
    }
    const other = await this.#logins.instead(login, signal);
    const short = /insufficient_scope/.test(answer.headers['www-authenticate'] ?? '');
    if (other === undefined) throw await this.#refusal(answer, shown, short);
    await answer.discard();
    return other;
  }

  /** What a new token did not mend. */
  async final(answer: WebAnswer, shown: Shown): Promise<BackendError> {
    return await this.#refusal(answer, shown, this.#wanted?.kind === 'bearer');
  }

  async #showAs(login: RegistryLogin | undefined, scopes: readonly string[], signal: AbortSignal): Promise<Shown> {
    if (login?.kind === 'bearer') return { header: `Bearer ${login.token}`, login };
    const wanted = this.#wanted;
    if (wanted === undefined) return { header: undefined, login };
    if (wanted.kind === 'basic') return { header: login?.kind === 'password' ? basicOf(login) : undefined, login };
    try {
      return await this.#bearing(wanted.realm, { scopes, login }, signal);
    } catch (error) {
      if (this.#wanted === wanted && error instanceof BackendError) this.#wanted = undefined;
      throw error;
    }
  }

  async #bearing(realm: TokenRealm, { scopes, login }: Bearer, signal: AbortSignal): Promise<Shown> {
    try {
      return { header: `Bearer ${await this.#tokens.get({ realm, scopes, login }, signal)}`, login };
    } catch (error) {
      if (!(error instanceof BackendError) || error.why !== 'credentials') throw error;
      const other = await this.#logins.instead(login, signal);
      if (other === undefined || other.kind === 'bearer') throw error;
      return { header: `Bearer ${await this.#tokens.get({ realm, scopes, login: other }, signal)}`, login: other };
    }
  }
}
