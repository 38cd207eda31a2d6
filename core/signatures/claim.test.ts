/** What a signature's text claims, and of which repository. */

import { expect, test } from 'vitest';
import { claimOfPayload, claimOfStatement, partsOfReference, signedOfEnvelope } from './claim.ts';
import { mayBeManifest } from './manifest.ts';
import { foreign } from './policy.ts';

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const digest = `sha256:${'a'.repeat(64)}`;

test('a reference has a repository and, at times, a tag', () => {
  const cases: readonly (readonly [string, string, string | undefined])[] = [
    ['localhost:5000/team/app', 'team/app', undefined],
    ['localhost/app:1', 'app', '1'],
    ['registry.example/team/app:1.0', 'team/app', '1.0'],
    [`registry.example/team/app:1.0@${digest}`, 'team/app', '1.0'],
    [`registry.example/team/app@${digest}`, 'team/app', undefined],
    ['team/app', 'team/app', undefined],
    ['app', 'app', undefined],
    ['registry.example:5000', 'registry.example:5000', undefined],
    ['', '', undefined],
    ['/', '/', undefined],
  ];
  for (const [text, repo, tag] of cases) expect([text, partsOfReference(text)]).toEqual([text, { repo, tag }]);
});

test('what is no payload of cosign claims nothing', () => {
  const critical = {
    identity: { 'docker-reference': 'h:1/a' },
    image: { 'docker-manifest-digest': digest },
    type: 'cosign container image signature',
  };
  expect(claimOfPayload(bytes({ critical }))).toEqual({ digests: [digest], reference: 'h:1/a' });
  expect(claimOfPayload(bytes({ critical: { ...critical, identity: {} } }))).toEqual({ digests: [digest] });
  const wrong = [
    null,
    [],
    { critical: { ...critical, type: 'something else' } },
    { critical: { ...critical, image: {} } },
    { critical: { ...critical, image: { 'docker-manifest-digest': 7 } } },
    { critical: { ...critical, identity: { 'docker-reference': 7 } } },
    { critical: { ...critical, identity: { 'docker-reference': `h:1/${'a'.repeat(2000)}` } } },
  ];
  for (const one of wrong) expect(claimOfPayload(bytes(one))).toBeUndefined();
  expect(claimOfPayload(Uint8Array.of(0xff, 0x7b))).toBeUndefined();
});

test('a statement claims the digests of its subjects, if it is a signature', () => {
  const predicateType = 'https://sigstore.dev/cosign/sign/v1';
  const subject = [{ digest: { sha256: 'a'.repeat(64) } }, { digest: { sha512: 'b' } }, { name: 'none' }, null];
  expect(claimOfStatement(bytes({ predicateType, subject }))).toEqual({ digests: [digest, 'sha512:b'] });
  for (const one of [{ subject }, { predicateType: 'other', subject }, { predicateType, subject: {} }, 7])
    expect(claimOfStatement(bytes(one))).toBeUndefined();
});

test("DSSE's example", () => {
  const signed = signedOfEnvelope('http://example.com/HelloWorld', new TextEncoder().encode('hello world'));
  expect(new TextDecoder().decode(signed)).toBe('DSSEv1 29 http://example.com/HelloWorld 11 hello world');
});

test('a claim without a reference is of any repository; a long one of stars takes no time', () => {
  const policy = { name: '', repositories: ['**'], mode: 'enforce' } as const;
  expect(foreign({ ...policy, identity: 'repository' }, { digests: [] }, 'a')).toBeUndefined();
  const reference = `${'a/'.repeat(500)}b`;
  expect(foreign({ ...policy, identity: ['**/**/a*/x'] }, { digests: [], reference }, 'a')).toBe(reference);
});

test('what some reader of JSON takes for a manifest may be one', () => {
  for (const one of [{ schemaVersion: 2 }, { Layers: [] }, { 'manifest\u017f': [] }, { 'LAYER\u017f': [] }])
    expect(mayBeManifest(bytes(one))).toBe(true);
  for (const one of [{ config: {}, rootfs: {} }, [], 7, null]) expect(mayBeManifest(bytes(one))).toBe(false);
});
