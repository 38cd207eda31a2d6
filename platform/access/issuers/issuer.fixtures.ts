/** An issuer of tokens for tests: a real server with real keys, which can be told to misbehave. */

import type { webcrypto } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { httpServer, httpsServer } from '../../backends/web/web.fixtures.ts';

type Key = {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: webcrypto.CryptoKey;
  readonly publicKey: webcrypto.CryptoKey;
};
type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export type Claims = Readonly<Record<string, unknown>>;

const json = (response: ServerResponse, value: unknown): void => {
  response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
};

/** How one may answer for its keys. */
export const MISBEHAVIOURS: Readonly<Record<string, Answer>> = {
  'HTTP 500': (_, response) => void response.writeHead(500).end(),
  elsewhere: (request, response) => void response.writeHead(302, { location: `${request.url}2` }).end(),
  garbage: (_, response) => void response.end('<html>'),
  'a list': (_, response) => json(response, []),
  'no keys': (_, response) => json(response, { keys: [] }),
  'shared keys only': (_, response) => json(response, { keys: [{ kty: 'oct', k: 'c2VjcmV0', kid: 'k1' }] }),
  'too many keys': (_, response) => json(response, { keys: Array(1_000).fill({ kty: 'EC' }) }),
  'too much': (_, response) => {
    const more = (): void => {
      while (response.write('x'.repeat(1 << 16)));
      response.once('drain', more);
    };
    more();
  },
  'a byte now and then': (_, response) => {
    const drip = setInterval(() => response.write(' '), 100);
    response.on('close', () => clearInterval(drip));
  },
  nothing: () => undefined,
  half: (_, response) => {
    response.write('{"keys":[');
    response.destroy();
  },
};

export class FakeIssuer {
  url = '';
  /** Requests for keys. */
  asked = 0;
  /** Instead of the keys. */
  instead: Answer | undefined;
  /** What discovery says. */
  says: Readonly<Record<string, unknown>> = {};
  #keys: Key[] = [];
  #count = 0;

  static async start(
    stack: AsyncDisposableStack,
    tls?: { readonly cert: string; readonly key: string },
  ): Promise<FakeIssuer> {
    const made = new FakeIssuer();
    const serve: Answer = (request, response) => void made.#answer(request, response);
    made.url = tls === undefined ? await httpServer(stack, serve) : await httpsServer(stack, tls, serve);
    await made.rotate();
    return made;
  }

  /** Another key, and none of those before. */
  async rotate(alg = 'ES256'): Promise<void> {
    this.#keys = [];
    await this.addKey(alg);
  }

  /** One more. Its id. */
  async addKey(alg: string): Promise<string> {
    const kid = `k${++this.#count}`;
    this.#keys.push({ kid, alg, ...(await generateKeyPair(alg, { extractable: true })) });
    return kid;
  }

  get key(): Key {
    return this.#keys.at(-1) as Key;
  }

  async jwks() {
    const keys = this.#keys.map(async ({ publicKey, kid, alg }) => ({
      ...(await exportJWK(publicKey)),
      kid,
      alg,
      use: 'sig',
    }));
    return { keys: await Promise.all(keys) };
  }

  /** For an hour, for `shoal`, of `alice`, unless the claims say otherwise; a claim that is undefined is left out. */
  async token(claims: Claims = {}, { key = this.key, kid = true } = {}): Promise<string> {
    const now = Math.floor(Date.now() / 1_000);
    const all = { iss: this.url, aud: 'shoal', sub: 'alice', iat: now, exp: now + 3_600, ...claims };
    const given = JSON.parse(JSON.stringify(all)) as JWTPayload;
    return await new SignJWT(given)
      .setProtectedHeader({ alg: key.alg, ...(kid && { kid: key.kid }) })
      .sign(key.privateKey);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url === '/.well-known/openid-configuration')
      return json(response, { issuer: this.url, jwks_uri: `${this.url}/keys`, ...this.says });
    if (request.url !== '/keys') return void response.writeHead(404).end();
    this.asked++;
    if (this.instead !== undefined) return this.instead(request, response);
    json(response, await this.jwks());
  }
}
