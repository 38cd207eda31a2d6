/** Verification by hand says what OpenSSL says, and what RFC 8032 says of the form that Node does not know. */

import { createPublicKey, generateKeyPairSync, randomBytes, randomInt, sign, verify } from 'node:crypto';
import { expect, test } from 'vitest';
import { verifiesPrehashed, verifiesWith } from './ed25519ph.ts';

const keyOf = (hex: string) =>
  createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(hex, 'hex').toString('base64url') },
    format: 'jwk',
  });

test('RFC 8032, 7.3: the test vector of Ed25519ph, and nothing beside it', () => {
  const key = keyOf('ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf');
  const signature = Buffer.from(
    '98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406',
    'hex',
  );
  expect(verifiesPrehashed(Buffer.from('abc'), key, signature)).toBe(true);
  expect(verifiesPrehashed(Buffer.from('abd'), key, signature)).toBe(false);
  for (const at of [0, 31, 32, 63]) {
    const altered = Buffer.from(signature);
    altered[at] = (altered[at] ?? 0) ^ 1;
    expect([at, verifiesPrehashed(Buffer.from('abc'), key, altered)]).toEqual([at, false]);
  }
});

test('plain Ed25519 as OpenSSL has it: right ones, altered ones, and what is on no curve', () => {
  const none = new Uint8Array();
  for (let round = 0; round < 40; round++) {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const key = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
    const message = randomBytes(randomInt(200));
    const signature = sign(null, message, privateKey);
    expect(verifiesWith(none, message, { key, signature })).toBe(true);
    const altered = Buffer.from(signature);
    altered[round] = (altered[round] ?? 0) ^ (1 << randomInt(8));
    const told = [altered.toString('hex'), verify(null, message, publicKey, altered)];
    expect([altered.toString('hex'), verifiesWith(none, message, { key, signature: altered })]).toEqual(told);
    expect(verifiesWith(none, Buffer.concat([message, Buffer.of(0)]), { key, signature })).toBe(false);
    // Another form of the same.
    expect(verifiesPrehashed(message, publicKey, signature)).toBe(false);
    expect(verifiesWith(none, message, { key: randomBytes(32), signature })).toBe(false);
  }
});

test('what is too short, and an S beyond the order, is none', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const key = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  const [none, message] = [new Uint8Array(), Buffer.from('message')];
  const signature = sign(null, message, privateKey);
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const S = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + order;
  const beyond = Buffer.concat([
    signature.subarray(0, 32),
    Buffer.from(S.toString(16).padStart(64, '0'), 'hex').reverse(),
  ]);
  for (const wrong of [beyond, signature.subarray(1), Buffer.alloc(0), Buffer.alloc(64), Buffer.alloc(64, 255)])
    expect(verifiesWith(none, message, { key, signature: wrong })).toBe(false);
});
