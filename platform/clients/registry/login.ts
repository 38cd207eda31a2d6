/**
 * What a client shows a registry that asks who it is: a token that its user's name and password, or what `docker login` left,
 * are given for.
 *
 * Rule 1: nothing is shown that was not asked for, and a password goes to the realm that the registry names, and nowhere else.
 * Rule 2: one token at a time: a command has to do with one repository.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import { record, text } from '../../../core/contracts/parse.ts';
import { challengesIn } from '../../backends/registry/auth/challenge.ts';
import type { RegistryLogin } from '../../backends/registry/auth/login.ts';
import type { CallContext } from '../context.ts';
import { HttpClient, type Reply } from '../http.ts';

/** Of one of these hosts, the first that there is one for; undefined: none. */
export type FindLogin = (hosts: readonly string[], signal: AbortSignal) => Promise<RegistryLogin | undefined>;

const withinMs = 20_000;
const clientId = 'shoal';
const answerIn = record({ token: text(65_536, 1) });
const accessAnswerIn = record({ access_token: text(65_536, 1) });

export class ClientLogin {
  readonly #base: string;
  readonly #find: FindLogin;
  /** Where to log in, as long as nobody has. */
  #hint = '';
  #authorization: string | undefined;

  constructor(base: string, find: FindLogin) {
    this.#base = base;
    this.#find = find;
  }

  get headers(): Record<string, string> {
    return this.#authorization === undefined ? {} : { authorization: this.#authorization };
  }

  /** After a 401, which is read: what to show instead. Throws UNAUTHORIZED where there is nothing. */
  async instead(refused: Reply, ctx: CallContext): Promise<void> {
    const challenges = challengesIn(refused.headers['www-authenticate']);
    await refused.discard();
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer')?.params;
    const realm = bearer && URL.parse(bearer['realm'] ?? '', this.#base);
    const hosts = [new URL(this.#base).host, ...(realm ? [realm.host] : [])];
    const login = await this.#find(hosts, ctx.signal);
    this.#hint = login === undefined ? `: docker login ${hosts.at(-1)}, or set SHOAL_USER` : '';
    if (login?.kind === 'bearer') this.#authorization = `Bearer ${login.token}`;
    else if (realm) this.#authorization = `Bearer ${await this.#token(realm, { ...bearer, login }, ctx)}`;
    else if (login?.kind === 'password') this.#authorization = basicOf(login);
    else throw new ApiError('UNAUTHORIZED', `${this.#base} asks for a login${this.#hint}`);
  }

  /** Throws it, with what to do. */
  refused(error: unknown): never {
    if (!(error instanceof ApiError) || error.code !== 'UNAUTHORIZED') throw error;
    throw new ApiError(error.code, `${error.message}${this.#hint}`);
  }

  async #token(realm: URL, asked: Asked, ctx: CallContext): Promise<string> {
    await using http = new HttpClient({ base: realm.origin });
    try {
      return await tokenFrom(http, realm, asked, ctx);
    } catch (error) {
      return this.refused(error);
    }
  }
}

type Asked = {
  readonly scope?: string | undefined;
  readonly service?: string | undefined;
  readonly login: RegistryLogin | undefined;
};

async function tokenFrom(
  http: HttpClient,
  { pathname, searchParams }: URL,
  { scope, service, login }: Asked,
  ctx: CallContext,
): Promise<string> {
  const given = { ...(scope !== undefined && { scope }), ...(service !== undefined && { service }) };
  if (login?.kind === 'identity') {
    const form = { grant_type: 'refresh_token', refresh_token: login.token, client_id: clientId, ...given };
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const body = String(new URLSearchParams(form));
    const said = await http.json('POST', pathname, { ctx, body, headers, withinMs });
    return accessAnswerIn(said).access_token;
  }
  const query = new URLSearchParams([...searchParams, ...Object.entries(given)]);
  const headers = login?.kind === 'password' ? { authorization: basicOf(login) } : undefined;
  return answerIn(await http.json('GET', `${pathname}?${query}`, { ctx, headers, withinMs })).token;
}

function basicOf({ username, password }: Extract<RegistryLogin, { readonly kind: 'password' }>): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
