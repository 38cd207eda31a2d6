/** Tokens of an issuer that really serves its keys: who is who, what is refused, and what the issuer may do to us. */

import { createHmac, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { issuersParser } from '../../../core/access/issuers.ts';
import { TestAuthority } from '../../certs/testing.fixtures.ts';
import { VirtualClock } from '../../net/clock.fixtures.ts';
import { Metrics } from '../../telemetry/metrics.ts';
import { type Claims, FakeIssuer, MISBEHAVIOURS } from './issuer.fixtures.ts';
import { keptMs, keysAgainMs, keysFreshMs, tokenLengthMax } from './limits.ts';
import { IssuedTokens } from './tokens.ts';

const from = { address: '192.0.2.1' };
const stack = new AsyncDisposableStack();
let issuer: FakeIssuer;

beforeAll(async () => {
  issuer = await FakeIssuer.start(stack);
});
afterAll(() => stack.disposeAsync());

/** Of one issuer, with what it logs. */
function asked(more: object = {}, of = issuer) {
  const lines: { readonly cause?: string; readonly why?: string }[] = [];
  const line = (said: object): void => void lines.push(said);
  const clock = new VirtualClock();
  const metrics = new Metrics();
  const issuers = issuersParser([{ issuer: of.url, audience: 'shoal', prefix: '', ...more }]);
  const tokens = stack.use(
    new IssuedTokens({
      issuers: () => issuers,
      env: {},
      clock,
      nowMs: Date.now,
      log: { debug: line, info: line, warn: line, error: line },
      metrics,
    }),
  );
  return {
    lines,
    clock,
    metrics,
    bearer: (token: string) => tokens.prover({ kind: 'bearer', token }, from),
    basic: (password: string) => tokens.prover({ kind: 'basic', name: 'oidc', password }, from),
  };
}

describe('who shows one', () => {
  test('is its subject, with its groups; as the password of anybody, too', async () => {
    const { bearer, basic } = asked();
    const token = await issuer.token({ groups: ['dev', 'ops'] });
    const alice = { name: 'alice', groups: ['dev', 'ops'] };
    expect(await bearer(token)).toEqual(alice);
    expect(await basic(token)).toEqual(alice);
  });

  test('is whom the claims name that are set, with the prefix', async () => {
    const { bearer } = asked({ prefix: 'corp:', claims: { user: 'email', groups: 'realm_access.roles' } });
    const claims = { email: 'a@example.org', realm_access: { roles: ['dev', 'dev'] } };
    expect(await bearer(await issuer.token(claims))).toEqual({ name: 'corp:a@example.org', groups: ['corp:dev'] });
    expect(await bearer(await issuer.token({ ...claims, email_verified: false }))).toBeUndefined();
  });

  test('is a service account of Kubernetes, in the groups that Kubernetes has', async () => {
    const { bearer } = asked();
    const name = 'system:serviceaccount:team-a:builder';
    expect(await bearer(await issuer.token({ sub: name, groups: ['system:masters', 'system:certificates'] }))).toEqual({
      name,
      groups: ['system:serviceaccounts', 'system:serviceaccounts:team-a'],
    });
  });

  test.each(['RS256', 'PS384', 'ES384', 'EdDSA'])('may have one by %s', async (alg) => {
    const of = await FakeIssuer.start(stack);
    await of.rotate(alg);
    expect(await asked({}, of).bearer(await of.token())).toMatchObject({ name: 'alice' });
  });

  test('is proved by keys at an address that is set, whatever the issuer is called', async () => {
    const { bearer } = asked({ issuer: 'kubernetes/serviceaccount', jwks: `${issuer.url}/keys` });
    expect(await bearer(await issuer.token({ iss: 'kubernetes/serviceaccount' }))).toMatchObject({ name: 'alice' });
    expect(await bearer(await issuer.token())).toBeUndefined();
  });

  test('is for others to say where the token is none of these', async () => {
    const { bearer, basic, lines } = asked();
    for (const other of ['abc', 'a.b.c', '', await issuer.token({ iss: 'https://elsewhere.example' })]) {
      expect(await bearer(other)).toBeUndefined();
      expect(await basic(other)).toBeUndefined();
    }
    expect(lines).toEqual([]);
  });
});

const hour = 3_600;
const now = (): number => Math.floor(Date.now() / 1_000);
const WRONG: readonly (readonly [what: string, cause: string, claims: () => Claims])[] = [
  ['expired two minutes ago', 'expired', () => ({ exp: now() - 120 })],
  ['of a clock an hour behind', 'expired', () => ({ iat: now() - 2 * hour, exp: now() - hour })],
  ['of a clock an hour ahead', 'not yet', () => ({ iat: now() + hour, nbf: now() + hour, exp: now() + 2 * hour })],
  ['without an end', 'claims', () => ({ exp: undefined })],
  ['for somebody else', 'audience', () => ({ aud: 'elsewhere' })],
  ['for nobody', 'audience', () => ({ aud: undefined })],
  ['without a subject', 'claims', () => ({ sub: undefined })],
  ['of a subject that is no name', 'claims', () => ({ sub: 'a\u0000b' })],
  ['with groups that are no list', 'claims', () => ({ groups: { dev: true } })],
  ['with more groups than a head holds', 'claims', () => ({ groups: Array.from({ length: 201 }, (_, i) => `g${i}`) })],
];

describe('a token is refused, with its cause in the log and in the metrics only,', () => {
  test.each(WRONG)('%s', async (_, cause, claims) => {
    const { bearer, basic, lines, metrics } = asked();
    const token = await issuer.token(claims());
    expect(await bearer(token)).toBeUndefined();
    expect(await basic(token)).toBeUndefined();
    expect(lines).toMatchObject([{ cause }, { cause }]);
    expect(await metrics.text()).toContain(
      `shoal_access_tokens_refused_total{issuer="${issuer.url}",cause="${cause}"} 2`,
    );
  });

  test('a minute of which is let pass', async () => {
    const { bearer } = asked();
    expect(await bearer(await issuer.token({ exp: now() - 30 }))).toMatchObject({ name: 'alice' });
    expect(await bearer(await issuer.token({ nbf: now() + 30 }))).toMatchObject({ name: 'alice' });
  });

  test('with no signature', async () => {
    const { bearer, lines } = asked();
    const [, payload] = (await issuer.token()).split('.');
    const head = Buffer.from(JSON.stringify({ alg: 'none' })).toString('base64url');
    expect(await bearer(`${head}.${payload}.`)).toBeUndefined();
    expect(lines).toMatchObject([{ cause: 'algorithm' }]);
  });

  test('by a public key taken for a shared secret', async () => {
    const { bearer, lines } = asked();
    const [, payload] = (await issuer.token()).split('.');
    const { keys } = await issuer.jwks();
    for (const secret of [JSON.stringify(keys[0]), String(keys[0]?.x)]) {
      const head = Buffer.from(JSON.stringify({ alg: 'HS256', kid: issuer.key.kid })).toString('base64url');
      const mac = createHmac('sha256', secret).update(`${head}.${payload}`).digest('base64url');
      expect(await bearer(`${head}.${payload}.${mac}`)).toBeUndefined();
    }
    expect(lines).toMatchObject([{ cause: 'algorithm' }, { cause: 'algorithm' }]);
  });

  test('by a key that it brings along, or names as another one', async () => {
    const { bearer, lines } = asked();
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const signed = (head: object): Promise<string> =>
      new SignJWT({ iss: issuer.url, aud: 'shoal', sub: 'alice', exp: now() + hour })
        .setProtectedHeader({ alg: 'ES256', kid: issuer.key.kid, ...head })
        .sign(privateKey);
    const jwk = publicKey.export({ format: 'jwk' });
    expect(await bearer(await signed({ jwk }))).toBeUndefined();
    expect(await bearer(await signed({ jku: `${issuer.url}/keys` }))).toBeUndefined();
    expect(lines).toMatchObject([{ cause: 'signature' }, { cause: 'signature' }]);
  });

  test('that was altered, cut, or is too long', async () => {
    const { bearer, lines } = asked();
    const [head, , signature] = (await issuer.token()).split('.');
    const other = Buffer.from(JSON.stringify({ iss: issuer.url, aud: 'shoal', sub: 'root', exp: now() + hour }));
    expect(await bearer(`${head}.${other.toString('base64url')}.${signature}`)).toBeUndefined();
    expect(await bearer((await issuer.token()).slice(0, -4))).toBeUndefined();
    expect(await bearer(await issuer.token({ more: 'x'.repeat(tokenLengthMax) }))).toBeUndefined();
    expect(lines.map(({ cause }) => cause)).toEqual(['signature', 'signature', 'malformed']);
  });
});

describe("an issuer's keys", () => {
  let of: FakeIssuer;
  beforeEach(async () => {
    of = await FakeIssuer.start(stack);
  });

  test('are fetched once for all who wait, and are here for those who come later', async () => {
    const { bearer } = asked({}, of);
    const token = await of.token();
    await Promise.all(Array.from({ length: 50 }, () => bearer(token)));
    await bearer(token);
    expect(of.asked).toBe(1);
  });

  test('that are others by now are fetched, and at most every 30 s, whoever asks for which', async () => {
    const { bearer, clock } = asked({}, of);
    await bearer(await of.token());
    const old = await of.token();
    await of.rotate();
    const token = await of.token();
    clock.ms += keysAgainMs;
    expect(await bearer(token)).toMatchObject({ name: 'alice' });
    expect(await bearer(old)).toBeUndefined();
    expect(of.asked).toBe(2);
    const strange = { ...of.key, kid: 'nobody-has-it' };
    const wanted = await of.token({}, { key: strange });
    await Promise.all(Array.from({ length: 50 }, () => bearer(wanted)));
    expect(of.asked).toBe(2);
    clock.ms += keysAgainMs;
    await Promise.all(Array.from({ length: 50 }, () => bearer(wanted)));
    expect(of.asked).toBe(3);
  });

  test('that have no ids are fetched again where a signature is by none of them', async () => {
    const { bearer, clock } = asked({}, of);
    expect(await bearer(await of.token({}, { kid: false }))).toMatchObject({ name: 'alice' });
    await of.rotate();
    clock.ms += keysAgainMs;
    expect(await bearer(await of.token({}, { kid: false }))).toMatchObject({ name: 'alice' });
    expect(of.asked).toBe(2);
  });

  test('that are withdrawn are so within minutes', async () => {
    const { bearer, clock } = asked({}, of);
    const token = await of.token();
    await bearer(token);
    await of.rotate();
    clock.ms += keysFreshMs;
    // In the background: this one waits for nobody.
    await bearer(token);
    await expect.poll(() => bearer(token)).toBeUndefined();
  });

  test.each(Object.keys(MISBEHAVIOURS))('hold while they cannot be fetched (%s), for an hour', async (how) => {
    const { bearer, clock, lines } = asked({}, of);
    const token = await of.token();
    await bearer(token);
    of.instead = MISBEHAVIOURS[how];
    clock.ms += keysFreshMs;
    expect(await bearer(token)).toMatchObject({ name: 'alice' });
    await expect.poll(() => lines.length).toBe(1);
    expect(lines[0]?.why).toContain(`GET ${of.url}/keys`);
    clock.ms += keptMs - keysFreshMs;
    expect(await bearer(token)).toMatchObject({ name: 'alice' });
    clock.ms += 1;
    expect(await bearer(token)).toBeUndefined();
    expect(lines.at(-1)).toMatchObject({ cause: 'keys' });
    of.instead = undefined;
    clock.ms += keysAgainMs;
    expect(await bearer(token)).toMatchObject({ name: 'alice' });
  });

  test('that never came make nobody of everybody, and say why', async () => {
    const { bearer, lines, metrics } = asked({ issuer: 'http://127.0.0.1:9' });
    expect(await bearer(await issuer.token({ iss: 'http://127.0.0.1:9' }))).toBeUndefined();
    expect(lines.at(-1)).toMatchObject({ cause: 'keys' });
    expect(lines.at(-1)?.why).toContain('ECONNREFUSED');
    expect(await metrics.text()).toContain('access_keys_fetched_total{issuer="http://127.0.0.1:9",result="failed"} 1');
  });

  test.each([
    ['of another issuer', { issuer: 'https://elsewhere.example' }],
    ['somewhere in clear', { jwks_uri: 'http://192.0.2.1/keys' }],
    ['nowhere', { jwks_uri: 7 }],
  ])('are not taken from %s', async (_, says) => {
    of.says = says;
    const { bearer, lines } = asked({}, of);
    expect(await bearer(await of.token())).toBeUndefined();
    expect(lines.at(-1)).toMatchObject({ cause: 'keys' });
    expect(of.asked).toBe(0);
  });

  test('come over TLS from a server of an authority that is named, as that of Kubernetes is, and from no other', async () => {
    using authority = await TestAuthority.make();
    const files = await authority.issue('monitor');
    const [cert, key] = [files.certificate, files.key].map((file) => readFileSync(file, 'utf8')) as [string, string];
    const kubernetes = await FakeIssuer.start(stack, { cert, key });
    const token = await kubernetes.token({ sub: 'system:serviceaccount:a:b' });
    const known = asked({ ca: authority.pair.certificate }, kubernetes);
    expect(await known.bearer(token)).toMatchObject({ name: 'system:serviceaccount:a:b' });
    const unknown = asked({}, kubernetes);
    expect(await unknown.bearer(token)).toBeUndefined();
    expect(unknown.lines.at(-1)).toMatchObject({ cause: 'keys', why: expect.stringContaining('certificate') });
  });

  test('that are weak are none', async () => {
    const { bearer, lines } = asked({}, of);
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1_024 });
    of.instead = (_, response) =>
      void response.end(JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'weak' }] }));
    const { sign } = await import('node:crypto');
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const text = `${part({ alg: 'RS256', kid: 'weak' })}.${part({ iss: of.url, aud: 'shoal', sub: 'a', exp: now() + hour })}`;
    expect(
      await bearer(`${text}.${sign('sha256', Buffer.from(text), privateKey).toString('base64url')}`),
    ).toBeUndefined();
    expect(lines.at(-1)).toMatchObject({ cause: 'key' });
  });
});
