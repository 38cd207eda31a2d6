/** For tests: a client of the registry that logs in as Docker's do, by the challenge that a 401 names. */

import { Buffer } from 'node:buffer';
import { challengesIn } from '../platform/backends/registry/auth/challenge.ts';
import type { Reached } from './images.fixtures.ts';

export type Login = { readonly name: string; readonly password: string };
export type Ask = {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array<ArrayBuffer>;
};

export const basicOf = ({ name, password }: Login): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;

/** As its answer has it. */
export type TokenAnswer = {
  readonly status: number;
  readonly token: string;
  readonly refresh: string | undefined;
  readonly expires: number;
};

export async function tokenOf(
  realm: string,
  {
    scope,
    login,
    offline,
  }: { readonly scope?: string; readonly login?: Login | undefined; readonly offline?: boolean },
): Promise<TokenAnswer> {
  const query = new URLSearchParams({ service: 'any', ...(scope !== undefined && { scope }) });
  if (offline === true) query.set('offline_token', 'true');
  const headers: Record<string, string> = login === undefined ? {} : { authorization: basicOf(login) };
  return await tokenIn(await fetch(`${realm}?${query}`, { headers }));
}

export async function tokenByForm(realm: string, form: Record<string, string>): Promise<TokenAnswer> {
  return await tokenIn(await fetch(realm, { method: 'POST', body: new URLSearchParams(form) }));
}

async function tokenIn(answer: Response): Promise<TokenAnswer> {
  const said = (await answer.json()) as { token?: string; refresh_token?: string; expires_in?: number };
  const { token = '', refresh_token: refresh, expires_in: expires = 0 } = said;
  return { status: answer.status, token, refresh, expires };
}

/** The answer to a request, after one more try with a token where a challenge asked for it. */
export async function asked(door: Reached, path: string, login: Login | undefined, ask: Ask = {}): Promise<Response> {
  const url = path.startsWith('http') ? path : door.url('registry') + path;
  const send = (headers: Record<string, string> = {}): Promise<Response> =>
    fetch(url, { method: ask.method ?? 'GET', headers: { ...ask.headers, ...headers }, body: ask.body ?? null });
  const first = await send();
  const [challenge] = challengesIn(first.headers.get('www-authenticate') ?? undefined);
  const realm = challenge?.params['realm'];
  if (first.status !== 401 || challenge?.scheme !== 'bearer' || realm === undefined) return first;
  await first.arrayBuffer();
  const scope = challenge.params['scope'];
  const { token } = await tokenOf(realm, { login, ...(scope !== undefined && { scope }) });
  return await send(token === '' ? {} : { authorization: `Bearer ${token}` });
}

/** Its status, and the code where it is refused. */
export async function said(door: Reached, path: string, login: Login | undefined, ask: Ask = {}): Promise<string> {
  return await inShort(await asked(door, path, login, ask), ask);
}

/** The same of one request that shows this, and no other. */
export async function shown(door: Reached, path: string, authorization: string, ask: Ask = {}): Promise<string> {
  const headers = { ...ask.headers, ...(authorization !== '' && { authorization }) };
  return await inShort(await fetch(door.url('registry') + path, { ...ask, headers }), ask);
}

async function inShort(answer: Response, ask: Ask): Promise<string> {
  const text = Buffer.from(await answer.arrayBuffer()).toString();
  if (answer.ok || ask.method === 'HEAD') return String(answer.status);
  const { errors = [] } = JSON.parse(text) as { errors?: { code: string }[] };
  return `${answer.status} ${errors[0]?.code}`;
}
