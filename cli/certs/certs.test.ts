/** `shoal certs`, as an operator uses it: every step leaves files that TLS takes, and what it must refuse is refused. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { addCertsCommands } from './commands.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-certs-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

async function certs(...args: string[]): Promise<string> {
  const lines: string[] = [];
  const program = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  addCertsCommands(program, (line) => lines.push(line));
  await program.parseAsync([...args, '--dir', dir], { from: 'user' });
  return lines.join('\n');
}

/** What OpenSSL says of a certificate: its own program, not ours. */
function verified(name: string, ...more: string[]): boolean {
  const files = ['-CAfile', join(dir, 'ca.crt'), ...more, join(dir, name, 'tls.crt')];
  try {
    execFileSync('openssl', ['verify', '-x509_strict', ...files], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
}
const withList = () => ['-crl_check', '-CRLfile', join(dir, 'ca.crl')];
const read = (...path: string[]): string => readFileSync(join(dir, ...path), 'utf8');

test('init, issue, show: OpenSSL believes them, and nobody else may read them', async () => {
  await certs('init', '--cluster', 'prod');
  expect(
    await certs('issue', 'origin', 'origin-1', '--san', '10.0.0.2,origin-1.example.org', '--san', '::1'),
  ).toContain('origin/origin-1 of cluster prod, for origin-1.example.org, 10.0.0.2, ::1, ECDSA P-256, until');
  await certs('issue', 'agent', 'host-7');
  expect(verified('origin-1')).toBe(true);
  for (const file of ['ca.key', 'ca.crt', 'origin-1/tls.key', 'origin-1/tls.crt', 'origin-1/ca.crt'])
    expect(statSync(join(dir, file)).mode & 0o777, file).toBe(0o600);
  expect(readdirSync(join(dir, 'origin-1')).sort()).toEqual(['ca.crt', 'tls.crt', 'tls.key']);
  const { certificates } = JSON.parse(await certs('show', '--json', dir));
  expect(certificates).toMatchObject([
    { what: 'authority', days: 3650 },
    { role: 'agent', name: 'host-7', cluster: 'prod', days: 90, problems: [] },
    { role: 'origin', name: 'origin-1', sans: ['origin-1.example.org', '10.0.0.2', '::1'] },
  ]);
});

test('a certificate is renewed in its place, with another key and the same words', async () => {
  await certs('init');
  await certs('issue', 'origin', 'one', '--san', '10.0.0.2', '--days', '10');
  await certs('issue', 'proxy', 'two');
  const before = ['one', 'two'].map((name) => read(name, 'tls.key'));
  expect(await certs('rotate', '--within', '30')).toContain('one/tls.crt: origin/one of cluster default, for 10.0.0.2');
  expect(read('one', 'tls.key')).not.toBe(before[0]);
  expect(read('two', 'tls.key')).toBe(before[1]);
  expect(await certs('rotate', '--within', '30')).toBe('none is due');
  expect(verified('one')).toBe(true);
});

test('an authority is replaced in three steps, and at none of them is anybody a stranger', async () => {
  await certs('init');
  await certs('issue', 'origin', 'one');
  await certs('rotate', '--ca');
  expect(verified('one')).toBe(true);
  expect(read('one', 'ca.crt')).toBe(read('ca.crt'));
  await certs('rotate');
  expect(verified('one')).toBe(true);
  const renewed = read('one', 'tls.crt');
  await certs('rotate', '--forget-old');
  expect(read('one', 'tls.crt')).toBe(renewed);
  expect(verified('one')).toBe(true);
  expect(read('ca.crt').match(/BEGIN/g)).toHaveLength(1);
});

test('what is revoked stays revoked: through a new authority, and through a rotation', async () => {
  await certs('init');
  for (const name of ['one', 'two', 'three']) await certs('issue', 'agent', name);
  expect(await certs('revoke', join(dir, 'one'))).toContain('agent/one');
  await certs('revoke', join(dir, 'two'));
  const all = () => ['one', 'two', 'three'].map((name) => verified(name, ...withList()));
  expect(all()).toEqual([false, false, true]);
  expect(read('three', 'ca.crl')).toBe(read('ca.crl'));
  const revoked = read('one', 'tls.crt');
  expect(await certs('rotate')).toContain('one: revoked, and not issued again');
  expect(read('one', 'tls.crt')).toBe(revoked);
  await certs('rotate', '--ca');
  await certs('rotate');
  expect(read('ca.crl').match(/BEGIN X509 CRL/g)).toHaveLength(2);
  expect(read('one', 'tls.crt')).toBe(revoked);
  await certs('rotate', '--forget-old');
  expect(verified('three')).toBe(true);
  expect(verified('one')).toBe(false);
});

test.each([
  ['no authority', async () => undefined, ['issue', 'agent'], 'make them with `shoal certs init'],
  ['a second authority', async () => certs('init'), ['init'], 'has an authority already'],
  ['a cluster that is no word', async () => undefined, ['init', '--cluster', 'a/b'], 'cannot stand in a certificate'],
  ['a name that is no word', async () => certs('init'), ['issue', 'agent', '../x'], 'cannot stand in a certificate'],
  ['a role that is none', async () => certs('init'), ['issue', 'root'], 'Give one of agent'],
  ['a SAN that is none', async () => certs('init'), ['issue', 'agent', '--san', 'a b'], 'is no address and no name'],
  ['a foreign key', alien, ['issue', 'agent'], 'is not the key of'],
])('%s is refused, and nothing is written', async (_, before, args, said) => {
  await before();
  const there = readdirSync(dir);
  await expect(certs(...args)).rejects.toThrow(said);
  expect(readdirSync(dir)).toEqual(there);
});

async function alien(): Promise<void> {
  await certs('init');
  const key = execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519'], { encoding: 'utf8' });
  writeFileSync(join(dir, 'ca.key'), key);
}

test('a certificate that is there is not replaced by issue', async () => {
  await certs('init');
  await certs('issue', 'agent', 'one');
  const before = read('one', 'tls.crt');
  await expect(certs('issue', 'origin', 'one')).rejects.toThrow('has a certificate already');
  expect(read('one', 'tls.crt')).toBe(before);
});

test('show names what is wrong, and fails', async () => {
  await certs('init');
  for (const name of ['one', 'two']) await certs('issue', 'agent', name);
  writeFileSync(join(dir, 'one', 'tls.key'), read('two', 'tls.key'));
  writeFileSync(join(dir, 'two', 'tls.crt'), 'junk');
  await expect(certs('show')).rejects.toThrow('2 of 3 are not right');
});
