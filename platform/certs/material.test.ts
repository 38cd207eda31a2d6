/** What a start says of certificates: right ones are taken, and each wrong one is named by its file, with the reason. */

import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { issueCertificate, makeAuthority, revocationLists } from './make.ts';
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
    expect(found.warningsAt(nowMs())).toEqual([]);
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
  const warnings = (files: MaterialFiles, holder = origin, atMs = nowMs()): readonly string[] =>
    rightly(files, holder).warningsAt(atMs);

  test('what expires soon, for how long it was', async () => {
    const { nowMs: now } = authority;
    const months = await authority.issue('origin', { fromMs: now - 85 * dayMs, untilMs: now + 5 * dayMs });
    expect(warnings(months)).toEqual([expect.stringContaining('tls.crt: it expires on')]);
    const days = await authority.issue('origin', { fromMs: now - dayMs, untilMs: now + 2 * dayMs });
    expect(warnings(days)).toEqual([]);
    expect(warnings(days, origin, now + 1.5 * dayMs)).toHaveLength(1);
  });

  test("an agent's certificate that names no address: it may be shared", async () => {
    const agent: Holder = { role: 'agent', cluster: 'test' };
    const files = await authority.issue('agent', { sans: [] });
    expect(warnings(files, agent)).toEqual([expect.stringContaining('vouches for their role only')]);
    expect(warnings(await authority.issue('agent'), agent)).toEqual([]);
  });

  test("an origin's that names none: others may answer in its place", async () => {
    const files = await authority.issue('origin', { sans: [] });
    expect(warnings(files)).toEqual([expect.stringContaining('of role origin may answer in its place')]);
  });
});

describe('lists of what is revoked', () => {
  const hourMs = dayMs / 24;
  const listed = async (fromMs: number, untilMs: number, of = authority): Promise<string> =>
    await revocationLists(of.pair, [], { fromMs, untilMs });
  let files: MaterialFiles;
  beforeAll(async () => {
    const { nowMs: now } = authority;
    const crl = authority.file('a.crl', await listed(now - hourMs, now + 23 * hourMs));
    files = { ...(await authority.issue('origin')), crl };
  });

  test('are no matter while they last', () => {
    expect(rightly(files).warningsAt(nowMs())).toEqual([]);
    expect(rightly(files).crlUntilMs).toBe(Math.floor((authority.nowMs + 23 * hourMs) / 1000) * 1000);
  });

  test.each([
    ['refuse', 'then whoever it issued a certificate for is refused', 'has expired at'],
    ['keep', 'then what it names stays revoked, and nothing else is', 'has expired at'],
  ] as const)('are told of before they end, and once they have: %s', (crlExpired, then, after) => {
    const material = rightly({ ...files, crlExpired });
    expect(material.warningsAt(authority.nowMs + 20 * hourMs)).toEqual([expect.stringContaining(then)]);
    expect(material.warningsAt(authority.nowMs + 24 * hourMs)).toEqual([expect.stringContaining(after)]);
  });

  test('that have ended are kept where that is set, and looked at again where they have not', () => {
    const later = authority.nowMs + 24 * hourMs;
    const at = (crlExpired: 'refuse' | 'keep', ms: number): Material =>
      readMaterial({ ...files, crlExpired }, origin, ms) as Material;
    expect(at('keep', later)).toMatchObject({ crl: undefined, staleCrl: [expect.stringContaining('CRL')] });
    expect(at('refuse', later)).toMatchObject({ crl: [expect.stringContaining('CRL')], staleCrl: undefined });
    expect(at('keep', nowMs())).toMatchObject({ crl: [expect.anything()], staleCrl: undefined });
    expect(at('keep', nowMs()).againMs).toBe(at('keep', nowMs()).crlUntilMs);
    expect(at('keep', later).againMs).toBe(Number.POSITIVE_INFINITY);
  });

  test('that are of another authority, or of tomorrow, are named', async () => {
    const { nowMs: now } = authority;
    const foreign = authority.file('b.crl', await listed(now - hourMs, now + dayMs, other));
    expect(rightly({ ...files, crl: foreign }).warningsAt(nowMs())).toEqual([
      expect.stringMatching(/b.crl: holds no list of what O=test, CN=shoal test .* has revoked: whoever/),
    ]);
    const early = authority.file('c.crl', await listed(now + dayMs, now + 2 * dayMs));
    expect(rightly({ ...files, crl: early }).warningsAt(nowMs())).toEqual([
      expect.stringContaining("is this host's clock right?"),
    ]);
  });

  test('that cannot be read are a reason not to start', () => {
    const torn = '-----BEGIN X509 CRL-----\nMIIBAjA\n-----END X509 CRL-----\n';
    expect(problemsOf({ ...files, crl: authority.file('d.crl', torn) })).toMatch(/d.crl: it is no DER/);
  });
});
