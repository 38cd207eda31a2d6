/** Lists of what is revoked, as we and as OpenSSL make them, and whatever else may be in such a file. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { certificatesIn, factsOf, revocationListsIn } from './facts.ts';
import { certificateIdsOf, revocationListOf } from './lists.ts';
import { issueCertificate, type KeyPair, makeAuthority, revocationLists } from './make.ts';

const dayMs = 86_400_000;
const nowMs = Math.floor(Date.now() / 1000) * 1000;
const validity = { fromMs: nowMs - dayMs, untilMs: nowMs + dayMs };
let authority: KeyPair;
let agents: ReturnType<typeof certificatesIn>;
beforeAll(async () => {
  authority = await makeAuthority('test', validity);
  const issue = async (name: string): Promise<string> =>
    (
      await issueCertificate(authority, {
        ...{ identity: { cluster: 'test', role: 'agent', name }, sans: [] },
        ...validity,
      })
    ).certificate;
  agents = certificatesIn((await issue('one')) + (await issue('two')));
});
const dir = mkdtempSync(join(tmpdir(), 'shoal-lists-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const ids = () => agents.map(certificateIdsOf);
const subject = () => certificatesIn(authority.certificate).map((one) => certificateIdsOf(one).subject)[0];

test('what we make: whose, from when until when, and what it names', async () => {
  const [one] = agents.map((agent) => factsOf(agent).serial);
  const [pem = ''] = revocationListsIn(await revocationLists(authority, [one ?? ''], validity));
  const list = revocationListOf(pem);
  expect(list).toEqual({ issuer: subject(), ...validity, revoked: [ids()[0]?.id] });
  expect(ids().map(({ issuer }) => issuer)).toEqual([subject(), subject()]);
});

test('what OpenSSL makes, though it writes the name in other letters', () => {
  const at = (name: string): string => join(dir, name);
  writeFileSync(at('ca.crt'), authority.certificate);
  writeFileSync(at('ca.key'), authority.key);
  writeFileSync(at('two.crt'), agents[1]?.toString() ?? '');
  writeFileSync(at('index'), '');
  writeFileSync(at('number'), '01');
  const lines = [`database=${at('index')}`, `crlnumber=${at('number')}`, 'default_md=sha256', 'default_crl_days=3'];
  writeFileSync(at('conf'), `[ca]\ndefault_ca=x\n[x]\n${lines.join('\n')}\n`);
  const openssl = (...args: string[]): Buffer =>
    execFileSync('openssl', ['ca', '-config', at('conf'), '-cert', at('ca.crt'), '-keyfile', at('ca.key'), ...args], {
      stdio: 'pipe',
    });
  openssl('-revoke', at('two.crt'));
  openssl('-gencrl', '-out', at('out.crl'));
  const list = revocationListOf(readFileSync(at('out.crl'), 'utf8'));
  expect(list).toMatchObject({ issuer: subject(), revoked: [ids()[1]?.id] });
  expect((list.untilMs ?? 0) - list.fromMs).toBe(3 * dayMs);
});

test('an empty list names nothing', async () => {
  expect(revocationListOf(await revocationLists(authority, [], validity)).revoked).toEqual([]);
});

test('whatever is cut off, or changed in one byte, is a list or an error, and never anything else', async () => {
  const [one] = agents.map((agent) => factsOf(agent).serial);
  const pem = await revocationLists(authority, [one ?? ''], validity);
  const whole = Buffer.from(pem.replace(/-----[^-]*-----/g, ''), 'base64');
  const tried = (bytes: Buffer): string => {
    try {
      return typeof revocationListOf(bytes.toString('base64')).fromMs;
    } catch (error) {
      return (error as Error).constructor.name;
    }
  };
  for (let length = 0; length < whole.length; length++) expect(tried(whole.subarray(0, length))).toBe('Error');
  for (let at = 0; at < whole.length; at++) {
    for (const value of [0, 0x30, 0x7f, 0x80, 0x84, 0xff]) {
      const bytes = Buffer.from(whole);
      bytes[at] = value;
      expect(['Error', 'number']).toContain(tried(bytes));
    }
  }
});
