/** What a start says of certificates: right ones are taken, and each wrong one is named by its file, with the reason. */

import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { issueCertificate, makeAuthority } from './make.ts';
import { type Holder, type Material, type MaterialFiles, readMaterial } from './material.ts';
import { TestAuthority } from './testing.fixtures.ts';

const dayMs = 86_400_000;
/** OpenSSL's own certificates begin with the second in which they are made. */
const nowMs = () => authority.nowMs + 60_000;
const origin: Holder = { role: 'origin', cluster: 'test' };
let authority: TestAuthority;
let other: TestAuthority;
beforeAll(async () => {
  [authority, other] = await Promise.all([TestAuthority.make(), TestAuthority.make()]);
});
afterAll(() => {
  authority[Symbol.dispose]();
  other[Symbol.dispose]();
});

const problemsOf = (files: MaterialFiles, holder = origin): string => {
  const found = readMaterial(files, holder, nowMs());
  return 'identity' in found ? '' : found.join('\n');
};
const rightly = (files: MaterialFiles, holder = origin): Material => {
  const found = readMaterial(files, holder, nowMs());
  if ('identity' in found) return found;
  throw new Error(found.join('\n'));
};

describe('right', () => {
  test('what we issued', async () => {
    const found = rightly(await authority.issue('origin', { name: 'origin-1' }));
    expect(found.identity).toEqual({ cluster: 'test', role: 'origin', name: 'origin-1' });
    expect(found.facts).toMatchObject({ sans: ['localhost', '127.0.0.1', '::1'], key: 'ECDSA P-256' });
    expect(found.warnings).toEqual([]);
  });

  test.each([
    ['RSA 2048', ['rsa:2048']],
    ['ECDSA P-384', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384']],
    ['Ed25519', ['ed25519']],
  ])('by OU and CN, with a key %s', (key, made) => {
    const found = rightly(authority.byOpenSsl('/O=anything/OU=origin/CN=origin-1', made));
    expect(found.identity).toEqual({ cluster: undefined, role: 'origin', name: 'origin-1' });
    expect(found.facts.key).toBe(key);
  });

  test('a bundle of several authorities', async () => {
    const believes = other.pair.certificate + authority.pair.certificate;
    expect(rightly(await authority.issue('origin', { believes })).ca).toHaveLength(2);
  });
});

describe('wrong', () => {
  const cases: readonly [string, () => Promise<MaterialFiles>, readonly string[]][] = [
    [
      'of another role',
      () => authority.issue('agent', { name: 'a' }),
      ['tls.crt: is of agent/a, and this is an origin'],
    ],
    [
      'of another cluster',
      () => authority.issue('origin', { cluster: 'b' }),
      ['tls.crt: is of cluster b, and `cluster` is test'],
    ],
    ['expired', () => authority.issue('origin', { untilMs: authority.nowMs - dayMs / 4 }), ['tls.crt: has expired on']],
    [
      'not valid yet',
      () => authority.issue('origin', { fromMs: authority.nowMs + 3_600_000 }),
      ['tls.crt: is valid only from', 'clock'],
    ],
    [
      'of an authority that nobody named',
      () => other.issue('origin', { believes: authority.pair.certificate }),
      ['tls.crt: was issued by O=test, CN=shoal test', 'ca.crt'],
    ],
    [
      'with another key',
      async () => authority.write({ ...(await pair()), key: (await pair()).key }),
      ['tls.key: is not the key of'],
    ],
    [
      'weak',
      async () => authority.byOpenSsl('/OU=origin/CN=o', ['rsa:1024']),
      ['tls.crt: an RSA key of 1024 bits is weak'],
    ],
    [
      'without a role',
      async () => authority.byOpenSsl('/CN=origin', ['ed25519']),
      ['tls.crt: it names no role: expected a URI spiffe://'],
    ],
    [
      'for servers only',
      async () => authority.byOpenSsl('/OU=origin/CN=o', ['ed25519'], { config: 'extendedKeyUsage=serverAuth' }),
      ['tls.crt: may not be used for client auth'],
    ],
    [
      'no PEM',
      async () => authority.write({ certificate: 'junk', key: (await pair()).key }),
      ['tls.crt: holds no certificate in PEM'],
    ],
    ['a damaged key', async () => authority.write({ ...(await pair()), key: 'junk' }), ['tls.key: cannot be read']],
    ['an authority that expired', expiredAuthority, ['ca.crt: every authority in it has expired']],
  ];
  const pair = () =>
    issueCertificate(authority.pair, {
      identity: { cluster: 'test', role: 'origin', name: 'o' },
      ...{ sans: [], fromMs: authority.nowMs - dayMs, untilMs: authority.nowMs + 90 * dayMs },
    });

  async function expiredAuthority(): Promise<MaterialFiles> {
    const until = authority.nowMs - dayMs;
    const old = await makeAuthority('test', { fromMs: until - dayMs, untilMs: until });
    return authority.issue('origin', { believes: old.certificate });
  }

  test.each(cases)('%s', async (_, files, said) => {
    const problems = problemsOf(await files());
    for (const part of said) expect(problems).toContain(part);
  });

  test('everything is named at once', async () => {
    const files = await authority.issue('agent', { cluster: 'b', untilMs: authority.nowMs - dayMs / 4 });
    writeFileSync(files.key, (await pair()).key);
    expect(problemsOf(files).split('\n')).toHaveLength(4);
  });

  test('files that are not there', () => {
    const problems = problemsOf({
      ca: '/nonexistent/ca',
      certificate: '/nonexistent/c',
      key: '/nonexistent/k',
      crl: '/nonexistent/l',
    });
    expect(problems.split('\n')).toHaveLength(4);
    expect(problems).toContain('/nonexistent/c: there is no such file');
  });

  test('no word of a key is ever told', async () => {
    const files = await authority.issue('origin');
    const key = readFileSync(files.key, 'utf8');
    const secret = key.split('\n')[1] as string;
    writeFileSync(files.key, key.replace('BEGIN', 'BEGUN'));
    writeFileSync(files.certificate, key);
    expect(problemsOf(files)).not.toContain(secret.slice(0, 16));
  });
});

describe('warned of', () => {
  test('what expires soon', async () => {
    const files = await authority.issue('origin', { untilMs: authority.nowMs + 5 * dayMs });
    expect(rightly(files).warnings).toEqual([expect.stringContaining('tls.crt: it expires on')]);
  });

  test("an agent's certificate that names no address: it may be shared", async () => {
    const agent: Holder = { role: 'agent', cluster: 'test' };
    const files = await authority.issue('agent', { sans: [] });
    expect(rightly(files, agent).warnings).toEqual([expect.stringContaining('vouches for their role only')]);
    expect(rightly(await authority.issue('agent'), agent).warnings).toEqual([]);
  });
});
