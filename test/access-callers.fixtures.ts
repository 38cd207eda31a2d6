/** For tests: a cluster of real processes that asks who somebody is, and everybody who may come: with what they show. */

import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request as plain } from 'node:http';
import { request as secure } from 'node:https';
import { join } from 'node:path';
import { hashSync } from 'bcryptjs';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { expect, vi } from 'vitest';
import { DOCUMENTS } from '../core/contracts/documents/documents.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { FakeIssuer } from '../platform/access/issuers/issuer.fixtures.ts';
import { TestAuthority } from '../platform/certs/testing.fixtures.ts';
import { HttpClient } from '../platform/clients/http.ts';
import { operatorHttp } from '../platform/secure/operator.ts';
import { Cluster } from '../platform/testing/cluster.ts';
import { freePort } from '../platform/testing/ports.ts';
import { type Parts, startParts } from './cluster.fixtures.ts';

export const clusterName = 'test';
/** As cheap as bcrypt is: what a comparison costs is no matter here. */
const costMin = 4;
const loopback = ['127.0.0.1', '::1', 'localhost'];
const soon = { timeout: 60_000, interval: 200 };
const p256 = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];

export type Shown = {
  readonly headers?: Readonly<Record<string, string>>;
  readonly certificate?: { readonly cert: string; readonly key: string };
};
export type Said = { readonly status: number; readonly headers: IncomingMessage['headers']; readonly text: string };

export const basic = (name: string, password: string): Shown => ({
  headers: { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` },
});
export const bearer = (token: string): Shown => ({ headers: { authorization: `Bearer ${token}` } });

/** One request; `url` is called over TLS where a certificate is shown. */
export async function ask(method: string, url: string, shown: Shown, body?: Uint8Array | string): Promise<Said> {
  const { certificate, headers } = shown;
  const length = { 'content-length': String(body === undefined ? 0 : Buffer.byteLength(body)) };
  const options = { method, agent: false, headers: { ...length, ...headers } } as const;
  const request =
    certificate === undefined
      ? plain(url, options)
      : secure(url.replace('http:', 'https:'), { ...options, ...certificate, rejectUnauthorized: false });
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request.once('response', resolve).once('error', reject);
  request.end(body);
  const answer = await promise;
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  return { status: answer.statusCode ?? 0, headers: answer.headers, text };
}

export class CallersCluster {
  readonly parts: Parts;
  readonly issuer: FakeIssuer;
  readonly users: TestAuthority;
  readonly #authority: TestAuthority;
  readonly #key: KeyObject;
  readonly #index: HttpClient;

  private constructor(o: {
    parts: Parts;
    issuer: FakeIssuer;
    users: TestAuthority;
    authority: TestAuthority;
    key: KeyObject;
    index: HttpClient;
  }) {
    this.parts = o.parts;
    this.issuer = o.issuer;
    this.users = o.users;
    this.#authority = o.authority;
    this.#key = o.key;
    this.#index = o.index;
  }

  /** `proxyNames`: by which it is called beside loopback's. */
  static async start(stack: AsyncDisposableStack, proxyNames: readonly string[] = []): Promise<CallersCluster> {
    const [authority, users] = await Promise.all([TestAuthority.make(), TestAuthority.make()]);
    stack.use(authority);
    stack.use(users);
    const cluster = stack.use(await Cluster.make());
    const issuer = await FakeIssuer.start(stack);
    const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const file = authority.file('tokens.key', key.export({ type: 'pkcs8', format: 'pem' }) as string);
    const port = await freePort();
    const files = new Map<string, object>();
    for (const [name, role] of [
      ...(['tracker', 'index', 'proxy', 'agent'] as const).map((one) => [one, one] as const),
      ['origin-1', 'origin'] as const,
    ])
      files.set(name, await authority.issue(role, { name, sans: [...loopback, ...proxyNames] }));
    const parts = await startParts(cluster, {
      settings: { cluster: clusterName },
      each: (name) => ({ tls: files.get(name) }),
      proxy: { listen: { host: '127.0.0.1', port }, access: { key: file } },
      // By a name: some clients send no password to an address that is private, and not the registry's own (crane 0.22).
      agent: { proxy: `http://localhost:${port}`, access: {} },
    });
    const { certificate } = await authority.issue('admin', { name: 'admin' });
    const transport = operatorHttp(join(certificate, '..'));
    const index = stack.use(new HttpClient({ base: parts.index.url('api'), transport }));
    return new CallersCluster({ parts, issuer, users, authority, key, index });
  }

  url(door: 'proxy' | 'agent'): string {
    return this.parts[door].url('registry');
  }

  /** Who there is, and what they may; returns once both doors know of it. */
  async set({
    passwords,
    ...more
  }: { readonly passwords: Readonly<Record<string, string>> } & Record<string, unknown>) {
    const users = Object.entries(passwords).map(([name, password]) => ({
      ...{ name, groups: [], password: hashSync(password, costMin) },
    }));
    const { read, put } = DOCUMENTS.access;
    const { version } = read.reply(await this.#index.json('GET', read.path({})), 'the index');
    await this.#index.json('PUT', put.path({}), { body: { expected: version, body: { users, ...more } } });
    const [[name, password] = ['', '']] = Object.entries(passwords);
    await vi.waitFor(async () => {
      const token = await this.token({ name, password }, '');
      expect(token).toBeDefined();
      for (const door of ['proxy', 'agent'] as const)
        expect(await ask('GET', this.url(door) + OCI_PATHS.base, bearer(token ?? ''))).toMatchObject({ status: 200 });
    }, soon);
  }

  /** As the proxy gives it; undefined: it gives none. */
  async token(login: { readonly name: string; readonly password: string } | undefined, scope: string) {
    const query = `?service=${clusterName}&scope=${encodeURIComponent(scope)}`;
    const shown = login === undefined ? {} : basic(login.name, login.password);
    const said = await ask('GET', `${this.url('proxy')}${OCI_PATHS.token}${query}`, shown);
    return said.status === 200 ? String(JSON.parse(said.text).token) : undefined;
  }

  /** The same token but for these claims, signed by the cluster's key, or by another one that calls itself so. */
  async changed(token: string, claims: Readonly<Record<string, unknown>>, key = this.#key): Promise<string> {
    const { kid = '' } = decodeProtectedHeader(token);
    const header = { alg: 'ES256', typ: 'JWT', kid };
    return await new SignJWT({ ...decodeJwt(token), ...claims }).setProtectedHeader(header).sign(key);
  }

  /** Of the authority that its certificates are of, PEM. */
  get authority(): string {
    return this.#authority.pair.certificate;
  }

  /** Of a user, by the users' authority. */
  certificate(subject: string): Shown {
    return shownOf(this.users.byOpenSsl(subject, p256));
  }

  /** Of a component, by the cluster's. */
  async component(role: 'agent' | 'admin'): Promise<Shown> {
    return shownOf(await this.#authority.issue(role, { name: 'alice' }));
  }
}

export function anotherKey(): KeyObject {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

function shownOf({ certificate, key }: { readonly certificate: string; readonly key: string }): Shown {
  return { certificate: { cert: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') } };
}
