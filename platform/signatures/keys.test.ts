/** Which keys are taken, what is said of the others, and what becomes of a file that changes. */

import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { StartError } from '../lifecycle/errors.ts';
import { silentLog } from '../telemetry/log.ts';
import { type CosignRule, keysChecked } from './config.ts';
import { KeyRing } from './key-ring.ts';
import { keysOf } from './keys.ts';
import { signer } from './signing.fixtures.ts';

const dir = mkdtempSync(join(tmpdir(), 'shoal-keys-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const file = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};
const pemOf = ({ publicKey }: { publicKey: { export(of: object): string | Buffer } }): string =>
  publicKey.export({ type: 'spki', format: 'pem' }).toString();

test('keys are named by where they are from and by their fingerprint', () => {
  const [one, other] = [signer(), signer('ed25519')];
  const names = keysOf([file('prod.pub', one.pem), other.pem]).map(({ name }) => name);
  expect(names).toEqual([
    expect.stringMatching(/^prod\.pub \(sha256:[0-9a-f]{12}\)$/),
    expect.stringMatching(/^key 2 \(sha256:/),
  ]);
});

test('each key that cannot be used is named, with the reason', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const wrong: readonly (readonly [key: string, why: string])[] = [
    [join(dir, 'gone.pub'), 'gone.pub: there is no such file'],
    [file('empty.pub', ''), 'empty.pub: is no public key in PEM'],
    [file('cut.pub', `${signer().pem.slice(0, 60)}\n-----END PUBLIC KEY-----\n`), 'cut.pub: is damaged'],
    [
      file('cosign.key', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()),
      'cosign.key: is a private key',
    ],
    [file('large.pub', 'x'.repeat(20_000)), 'large.pub: is too large'],
    [pemOf(generateKeyPairSync('rsa', { modulusLength: 1024 })), 'key 6: is weak: RSA of 1024 bits'],
    [pemOf(generateKeyPairSync('ec', { namedCurve: 'secp256k1' })), 'key 7: is of the curve secp256k1'],
    [pemOf(generateKeyPairSync('x25519')), 'key 8: is of the kind x25519'],
  ];
  const keys = wrong.map(([key]) => key);
  const problem = (() => {
    try {
      keysOf(keys);
      return new Error('they were taken');
    } catch (error) {
      return error as Error;
    }
  })();
  expect(problem).toBeInstanceOf(StartError);
  expect(problem.message.split('\n')).toEqual(wrong.map(([, why]) => expect.stringContaining(why)));
  const rule: CosignRule = { repositories: ['**'], keys, at: ['pull'], mode: 'enforce', identity: 'any' };
  await expect(keysChecked({ verify: { cosign: [rule] } })).rejects.toThrow('gone.pub');
});

test('a file that changes is read again; one that cannot be used any more changes nothing', () => {
  const path = file('cosign.pub', signer().pem);
  const policy = { name: 'p', repositories: ['**'], mode: 'enforce', identity: 'any', keys: [path] } as const;
  let nowMs = 0;
  const ring = new KeyRing([policy], { log: silentLog(), clock: { nowMs: () => nowMs } });
  const before = ring.trust(policy);
  file('cosign.pub', `${signer('rsa').pem}\n`);
  expect(ring.renewed()).toBe(false);
  nowMs += 5_000;
  expect([ring.renewed(), ring.trust(policy).keys[0]?.key.asymmetricKeyType]).toEqual([true, 'rsa']);
  expect(ring.trust(policy)).not.toBe(before);
  const kept = ring.trust(policy);
  file('cosign.pub', 'damaged');
  nowMs += 5_000;
  expect([ring.renewed(), ring.trust(policy)]).toEqual([false, kept]);
});
