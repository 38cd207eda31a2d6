/** Whatever lies in the place of a signature, nothing that no key signed passes, and nothing but a refusal comes of it. */

import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';
import { ApiError } from '../../core/contracts/errors.ts';
import { prng } from '../../core/prng.ts';
import { evidenceLayers, mayBeManifest, signatureLayers } from '../../core/signatures/manifest.ts';
import { CallContext } from '../clients/context.ts';
import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { SignatureGate } from './gate.ts';
import { payload, SignedImages, signer } from './signing.fixtures.ts';

const repo = 'team/app';
const ours = signer();
const rounds = 300;

test('one changed byte anywhere in what was signed, or in the signature, and it is none', async () => {
  const seed = randomInt(2 ** 31);
  const random = prng(seed);
  const pick = (below: number): number => Math.floor(random.unit() * below);
  const images = new SignedImages();
  const digest = await images.image(repo, 'one');
  const message = payload(digest, `localhost:5000/${repo}`);
  const signature = await images.signature(repo, ours, message);
  const text = (signature.annotations as Record<string, string>)['dev.cosignproject.cosign/signature'] ?? '';
  const policy = { name: 'p', repositories: ['**'], mode: 'enforce', identity: 'any', keys: [ours.pem] } as const;
  for (let round = 0; round < rounds; round++) {
    const at = new SignatureGate({
      ...{ policies: [policy], source: images, log: silentLog(), metrics: new Metrics(), remedy: '' },
      clock: { nowMs: () => 0 },
    });
    const bytes = Buffer.from(round % 2 === 0 ? message : Buffer.from(text, 'base64'));
    const where = pick(bytes.length);
    bytes[where] = (bytes[where] ?? 0) ^ (1 + pick(255));
    const said = round % 2 === 0 ? text : bytes.toString('base64');
    const layer = await images.signature(repo, ours, round % 2 === 0 ? bytes : message);
    await images.attach(repo, digest, [{ ...layer, annotations: { 'dev.cosignproject.cosign/signature': said } }]);
    const passed = await at.heed({ repo, digest }, CallContext.begin()).catch((error: unknown) => error);
    expect([seed, round, passed instanceof ApiError && passed.code]).toEqual([seed, round, 'DENIED']);
  }
});

test('what is no manifest has no layers, and is none to anybody', () => {
  const odd = [
    '',
    '{',
    'null',
    '[]',
    '7',
    '{"layers":{}}',
    '{"layers":[null,7,"x",{}]}',
    '{"__proto__":{"layers":[]}}',
    '{"layers":[{"digest":"sha256:x"}]}',
  ];
  for (const text of odd) {
    const bytes = Buffer.from(text);
    expect([text, signatureLayers(bytes), evidenceLayers(bytes)]).toEqual([text, [], undefined]);
  }
  expect(mayBeManifest(Buffer.from('{"__proto__":{"layers":[]}}'))).toBe(false);
  const deep = Buffer.from(`${'['.repeat(500_000)}${']'.repeat(500_000)}`);
  expect([signatureLayers(deep), mayBeManifest(deep)]).toEqual([[], false]);
});
