/** Certificates as users: who is who, and what is refused. Made by openssl, as an administrator makes them, and by ourselves. */

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CertificateUsers, certificateUsersParser, certified } from '../../../core/access/certificate-users.ts';
import { issueCertificate, type KeyPair, revocationLists } from '../../certs/make.ts';
import { TestAuthority } from '../../certs/testing.fixtures.ts';
import { silentLog } from '../../telemetry/log.ts';
import { Metrics } from '../../telemetry/metrics.ts';
import { CertificateProof } from './prover.ts';
import { UserAuthorities } from './users.ts';

const dayMs = 86_400_000;
const p256 = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
const stack = new DisposableStack();
let users: TestAuthority;
let cluster: TestAuthority;

beforeAll(async () => {
  [users, cluster] = await Promise.all([TestAuthority.make(), TestAuthority.make()]);
  stack.use(users);
  stack.use(cluster);
});
afterAll(() => stack.dispose());

const made = (subject: string, config?: string, key: readonly string[] = p256, of = users): X509Certificate =>
  new X509Certificate(readFileSync(of.byOpenSsl(subject, key, config === undefined ? {} : { config }).certificate));

const issued = async (by: KeyPair, fromMs: number, untilMs: number): Promise<X509Certificate> => {
  const identity = { cluster: 'users', role: 'agent', name: 'alice' } as const;
  return new X509Certificate((await issueCertificate(by, { identity, sans: [], fromMs, untilMs })).certificate);
};

async function authorities(more: Partial<Record<keyof CertificateUsers, string>> = {}): Promise<UserAuthorities> {
  const rule = certificateUsersParser({ ca: users.pair.certificate, ...more });
  const found = await UserAuthorities.of(rule, [cluster.pair.certificate]);
  if (found instanceof UserAuthorities) return found;
  throw new Error(found.join('\n'));
}

describe('a certificate', () => {
  test('is of its CN, in the groups of its OUs, and of those who have shown one', async () => {
    const found = (await authorities()).subjectOf(made('/OU=dev/OU=ops/CN=Jane Doe'), Date.now());
    expect(found).toEqual({ name: 'Jane Doe', groups: ['dev', 'ops', certified] });
  });

  test('is of its URI, or of its address of e-mail, with a prefix', async () => {
    const both = made('/OU=dev/CN=x', 'subjectAltName=URI:https://id.example.org/jane,email:jane@example.org');
    const of = async (user: string) =>
      (await authorities({ user, groups: 'none', prefix: 'corp:' })).subjectOf(both, Date.now());
    expect(await of('uri')).toEqual({ name: 'corp:https://id.example.org/jane', groups: [certified] });
    expect(await of('email')).toEqual({ name: 'corp:jane@example.org', groups: [certified] });
  });

  test('gives nobody the group of who has shown one by its OU', async () => {
    const found = (await authorities()).subjectOf(made('/OU=system:masters/CN=eve'), Date.now());
    expect(found).toEqual({ name: 'eve', groups: [certified] });
  });

  test.each([
    ['with two names', '/CN=alice/CN=root', undefined, 'it has 2 of CN, and may have one'],
    ['without a name', '/OU=dev', undefined, 'it has no CN that is a name'],
    ['with a name of two lines', '/CN=alice\nCN=root', undefined, 'it has no CN that is a name'],
    ['for servers only', '/CN=alice', 'extendedKeyUsage=serverAuth', 'it may not be used by clients'],
    ['with what nobody knows here', '/CN=alice', '1.2.3.4=critical,ASN1:NULL', 'the critical extension 1.2.3.4'],
    [
      'with a key that signs nothing',
      '/CN=alice',
      'keyUsage=critical,keyEncipherment',
      'its key is not for signatures',
    ],
  ])('%s is nobody', async (_, subject, config, why) => {
    expect((await authorities()).subjectOf(made(subject, config), Date.now())).toContain(why);
  });

  test('with a weak key, or one of another authority, is nobody', async () => {
    const to = await authorities();
    expect(to.subjectOf(made('/CN=alice', undefined, ['rsa:1024']), Date.now())).toContain(
      'RSA key of 1024 bits is weak',
    );
    expect(to.subjectOf(made('/CN=alice', undefined, p256, cluster), Date.now())).toContain('none of the users');
  });

  test('is nobody before its time, and after it, by a clock that is an hour off too', async () => {
    const now = users.nowMs;
    const certificate = await issued(users.pair, now - 3_600_000, now + 3_600_000);
    const to = await authorities();
    expect(to.subjectOf(certificate, now)).toMatchObject({ name: 'alice' });
    expect(to.subjectOf(certificate, now + 3_600_000)).toContain('it has expired on');
    expect(to.subjectOf(certificate, now - 3_601_000)).toContain('it is valid only from');
    expect(to.subjectOf(await issued(users.pair, now - dayMs, now + 900 * dayMs), now + 800 * dayMs)).toContain(
      'its authority has expired',
    );
  });

  test('that is revoked is nobody; so is everybody once the list has expired', async () => {
    const [one, other] = [made('/CN=one'), made('/CN=other')];
    const validity = { fromMs: users.nowMs, untilMs: users.nowMs + dayMs };
    const to = await authorities({ crl: await revocationLists(users.pair, [one.serialNumber], validity) });
    expect(to.subjectOf(one, Date.now())).toBe('it is revoked');
    expect(to.subjectOf(other, Date.now())).toMatchObject({ name: 'other' });
    expect(to.subjectOf(other, users.nowMs + dayMs)).toContain('has expired on');
  });
});

describe('authorities are refused', () => {
  const problems = async (more: object, ca = users.pair.certificate): Promise<string> => {
    const found = await UserAuthorities.of(certificateUsersParser({ ca, ...more }), [cluster.pair.certificate]);
    return found instanceof UserAuthorities ? 'right' : found.join('\n');
  };

  test("that are the cluster's", async () => {
    expect(await problems({}, `${users.pair.certificate}${cluster.pair.certificate}`)).toContain(
      'is an authority of the cluster, or of one: users need one of their own',
    );
  });

  test('that are none, or cannot be read', async () => {
    const { certificate } = await issueCertificate(users.pair, {
      ...{ identity: { cluster: 'users', role: 'agent', name: 'a' }, sans: [] },
      ...{ fromMs: users.nowMs, untilMs: users.nowMs + dayMs },
    });
    expect(await problems({}, certificate)).toContain('is no authority');
    expect(await problems({}, '-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n')).toContain(
      'cannot be read',
    );
    expect(await problems({}, '-----BEGIN PUBLIC KEY-----\n')).toContain('holds no certificate');
  });

  test('without a list of their own, where there are any', async () => {
    const validity = { fromMs: users.nowMs, untilMs: users.nowMs + dayMs };
    const others = await revocationLists(cluster.pair, [], validity);
    expect(await problems({ crl: others })).toContain('crl: has no list of');
    const forged = await revocationLists({ ...users.pair, key: cluster.pair.key }, [], validity);
    expect(await problems({ crl: forged })).toContain('that is whole, and signed by it');
  });
});

test('what the cluster signed proves nobody; settings change under the process', async () => {
  let asked: readonly string[] = [];
  const proof = new CertificateProof({
    components: {
      authorities: () => [cluster.pair.certificate],
      isOurs: (certificate) => certificate.verify(new X509Certificate(cluster.pair.certificate).publicKey),
      askUsers: (authorities) => {
        asked = authorities;
      },
    },
    nowMs: Date.now,
    log: silentLog(),
    metrics: new Metrics(),
  });
  const shown = (certificate: X509Certificate) =>
    proof.prover({ kind: 'certificate', certificate }, { address: '::1' });
  const [alice, agent] = [made('/CN=alice'), made('/CN=alice', undefined, p256, cluster)];
  expect(await shown(alice)).toBeUndefined();
  await proof.use(certificateUsersParser({ ca: users.pair.certificate }));
  expect(asked).toEqual([String(new X509Certificate(users.pair.certificate))]);
  expect(await shown(alice)).toMatchObject({ name: 'alice' });
  expect(await shown(agent)).toBeUndefined();
  await proof.use(certificateUsersParser({ ca: cluster.pair.certificate }));
  expect([await shown(alice), await shown(agent), asked]).toEqual([undefined, undefined, []]);
  expect(proof.warnings().join()).toContain('is an authority of the cluster');
});
