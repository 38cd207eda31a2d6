/** Which images pass a policy, and what an attacker who may push, but has no key, comes to. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Digest } from '../../core/digest.ts';
import { MEDIA } from '../../core/oci/media.ts';
import { signatureBytesMax, signaturesMax } from '../../core/signatures/limits.ts';
import { CallContext } from '../clients/context.ts';
import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import type { KeyedPolicy } from './config.ts';
import { SignatureGate } from './gate.ts';
import { payload, SignedImages, type Signer, signer } from './signing.fixtures.ts';

const repo = 'team/app';
const ours = signer();
const theirs = signer();
let images: SignedImages;
let metrics: Metrics;
let nowMs: number;
beforeEach(() => {
  images = new SignedImages();
  metrics = new Metrics();
  nowMs = 0;
});

function gate(keys: readonly Signer[] = [ours], more: Partial<KeyedPolicy> = {}): SignatureGate {
  const policy = {
    name: 'verify.cosign[0] (team/**)',
    repositories: ['team/**'],
    mode: 'enforce',
    identity: 'repository',
  } as const;
  const policies = [{ ...policy, keys: keys.map(({ pem }) => pem), ...more }];
  const clock = { nowMs: () => nowMs };
  return new SignatureGate({ policies, source: images, log: silentLog(), metrics, clock, remedy: 'Have it signed.' });
}

type How = { readonly tag?: string; readonly mediaType?: string; readonly repo?: string };
const heed = (at: SignatureGate, digest: Digest, { tag, mediaType = MEDIA.ociManifest, ...of }: How = {}) =>
  at.heed({ repo, digest, tags: tag === undefined ? [] : [tag], mediaType, ...of }, CallContext.begin());
const refused = (code: string, ...words: string[]) =>
  expect.objectContaining({ code, message: expect.stringMatching(new RegExp(words.join('.*'), 's')) });
const counted = async () =>
  (await metrics.registry.getMetricsAsJSON()).flatMap(({ values }) =>
    (values as { value: number; labels: { result: string } }[]).map(({ value, labels }) => [labels.result, value]),
  );

test('what is signed passes by tag and by digest; what is not is refused, with the policy, the keys and what to do', async () => {
  const [signed, unsigned] = [await images.image(repo, 'one'), await images.image(repo, 'two')];
  await images.sign(repo, signed, ours);
  const at = gate();
  await heed(at, signed);
  await heed(at, signed, { tag: '1' });
  const denied = refused(
    'DENIED',
    `${repo}@${unsigned}`,
    'verify.cosign',
    'key 1 \\(sha256:',
    'no signature was found',
    'Have it signed',
  );
  await expect(heed(at, unsigned)).rejects.toEqual(denied);
  await expect(heed(at, unsigned, { tag: '1' })).rejects.toEqual(denied);
  expect(await counted()).toEqual([
    ['signed', 1],
    ['remembered', 1],
    ['missing', 2],
  ]);
});

test('a repository that no policy is for needs nothing, and nothing is asked', async () => {
  const digest = await images.image('other', 'one');
  images.down = true;
  const at = gate();
  await heed(at, digest, { repo: 'other' });
  expect([at.concerns('other'), at.concerns(repo)]).toEqual([false, true]);
  expect(await counted()).toEqual([]);
});

test.each(['P-256', 'P-384', 'rsa', 'ed25519'] as const)('a key of the kind %s, one of several', async (kind) => {
  const digest = await images.image(repo, 'one');
  const by = signer(kind);
  await images.sign(repo, digest, by);
  await heed(gate([theirs, by]), digest);
  await expect(heed(gate([theirs, signer(kind)]), digest)).rejects.toEqual(refused('DENIED', 'by another key'));
});

test('a digest for which cosign has no tag is looked for among the referrers', async () => {
  const digest = `sha512:${'a'.repeat(128)}` as Digest;
  await expect(heed(gate(), digest)).rejects.toEqual(refused('DENIED'));
  await images.refer(repo, digest, ours, 'bundle');
  await heed(gate(), digest);
});

test.each(['legacy', 'bundle'] as const)('a signature among the referrers, of the form %s', async (form) => {
  const digest = await images.image(repo, 'one');
  await images.refer(repo, digest, theirs, form);
  nowMs += 10_000;
  await expect(heed(gate(), digest)).rejects.toEqual(refused('DENIED', 'by another key'));
  await images.refer(repo, digest, ours, form);
  await heed(gate(), digest);
});

test('an attestation about an image is no signature of it', async () => {
  const digest = await images.image(repo, 'one');
  await images.refer(repo, digest, ours, 'attestation');
  await expect(heed(gate(), digest)).rejects.toEqual(refused('DENIED', 'not written as cosign'));
});

test('an index that is signed covers its children; nothing else does', async () => {
  const [arm, amd, other] = [
    await images.image(repo, 'arm'),
    await images.image(repo, 'amd'),
    await images.image(repo, 'other'),
  ];
  const index = await images.index(repo, [arm, amd]);
  const swapped = await images.index(repo, [arm, other]);
  await images.sign(repo, index, ours);
  const at = gate();
  await expect(heed(at, arm)).rejects.toEqual(refused('DENIED'));
  await heed(at, index, { mediaType: MEDIA.ociIndex });
  await heed(at, arm);
  await heed(at, amd);
  await expect(heed(at, other)).rejects.toEqual(refused('DENIED'));
  await expect(heed(at, swapped, { mediaType: MEDIA.ociIndex })).rejects.toEqual(refused('DENIED'));
  // In another repository of the policy nothing was signed.
  await expect(heed(at, arm, { repo: 'team/other' })).rejects.toEqual(refused('DENIED'));
  // Once the index is signed no more, they are not either.
  await images.unsign(repo, index);
  nowMs += 600_001;
  await expect(heed(at, arm)).rejects.toEqual(refused('DENIED'));
  expect(await counted()).toContainEqual(['covered', 2]);
});

describe('a signature that does not count:', () => {
  test('of another digest', async () => {
    const [signed, evil] = [await images.image(repo, 'one'), await images.image(repo, 'evil')];
    const layer = await images.signature(repo, ours, payload(signed, `localhost:5000/${repo}`));
    await images.attach(repo, evil, [layer]);
    await expect(heed(gate(), evil)).rejects.toEqual(refused('DENIED', 'of another manifest'));
  });

  test('whose payload was altered to name the digest', async () => {
    const [signed, evil] = [await images.image(repo, 'one'), await images.image(repo, 'evil')];
    const [was, altered] = [payload(signed, repo), payload(evil, repo)];
    await images.attach(repo, evil, [await images.signature(repo, ours, altered, was)]);
    await expect(heed(gate(), evil)).rejects.toEqual(refused('DENIED', 'by another key, or was altered'));
  });

  test('of another repository, unless its identity may be any, or is one of those that may', async () => {
    const digest = await images.image(repo, 'one');
    await images.sign(repo, digest, ours, 'registry.example:5000/staging/app');
    await expect(heed(gate(), digest)).rejects.toEqual(refused('DENIED', 'is for the repository staging/app'));
    await expect(heed(gate([ours], { identity: ['stable/*'] }), digest)).rejects.toEqual(refused('DENIED'));
    await heed(gate([ours], { identity: ['staging/*'] }), digest);
    await heed(gate([ours], { identity: 'any' }), digest);
  });

  test('of another tag, where it names one', async () => {
    const digest = await images.image(repo, 'one');
    await images.sign(repo, digest, ours, `localhost:5000/${repo}:1.0`);
    const at = gate();
    await heed(at, digest, { tag: '1.0' });
    await heed(at, digest);
    await expect(heed(at, digest, { tag: 'latest' })).rejects.toEqual(refused('DENIED', 'for the tag 1.0 only'));
    await heed(gate([ours], { identity: 'any' }), digest, { tag: 'latest' });
    // Another signature is for another tag.
    const layers = ['1.0', 'latest'].map((tag) =>
      images.signature(repo, ours, payload(digest, `localhost:5000/${repo}:${tag}`)),
    );
    await images.attach(repo, digest, await Promise.all(layers));
    nowMs += 1_001;
    await heed(at, digest, { tag: 'latest' });
  });

  test('that is none at all', async () => {
    const digest = await images.image(repo, 'one');
    const good = await images.signature(repo, ours, payload(digest, repo));
    await images.attach(repo, digest, [
      { ...good, mediaType: MEDIA.ociLayer },
      { ...good, annotations: {} },
      { ...good, annotations: { 'dev.cosignproject.cosign/signature': 'é' } },
      await images.signature(repo, ours, Buffer.from('{"critical":null}')),
      await images.signature(repo, ours, Buffer.from('[')),
    ]);
    await expect(heed(gate(), digest)).rejects.toEqual(refused('DENIED'));
  });

  test('that is larger than signatures are: it is not even read', async () => {
    const digest = await images.image(repo, 'one');
    const huge = Buffer.concat([payload(digest, repo), Buffer.alloc(signatureBytesMax, ' ')]);
    const layer = await images.signature(repo, ours, huge);
    await images.attach(repo, digest, [layer]);
    await expect(heed(gate(), digest)).rejects.toEqual(refused('DENIED', 'larger than a signature'));
    expect(images.read).not.toContain(layer.digest);
    // Nor where its size is a lie.
    await images.attach(repo, digest, [{ ...layer, size: 10 }]);
    await expect(heed(gate(), digest)).rejects.toEqual(refused('DENIED'));
  });

  test('that comes after as many as are looked at', async () => {
    const digest = await images.image(repo, 'one');
    const others = [];
    for (let i = 0; i < 1000; i++) others.push(await images.signature(repo, theirs, payload(digest, `h:1/${i}`)));
    await images.attach(repo, digest, [...others, await images.signature(repo, ours, payload(digest, `h:1/${repo}`))]);
    await expect(heed(gate(), digest)).rejects.toEqual(refused('DENIED', 'of 1001 signatures the first 64'));
    expect(images.read.length).toBeLessThan(signaturesMax + 10);
  });
});

test('a signature that is taken away counts for ten minutes; one that comes counts after a second', async () => {
  const digest = await images.image(repo, 'one');
  const at = gate();
  await expect(heed(at, digest)).rejects.toEqual(refused('DENIED'));
  await images.sign(repo, digest, ours);
  await expect(heed(at, digest)).rejects.toEqual(refused('DENIED'));
  nowMs += 1_001;
  await heed(at, digest);
  await images.unsign(repo, digest);
  nowMs += 599_000;
  await heed(at, digest);
  nowMs += 2_000;
  await expect(heed(at, digest)).rejects.toEqual(refused('DENIED'));
});

test('what was found by a key that is replaced counts no more', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'shoal-gate-'));
  try {
    const file = join(dir, 'cosign.pub');
    writeFileSync(file, ours.pem);
    const digest = await images.image(repo, 'one');
    await images.sign(repo, digest, ours);
    const at = gate([], { keys: [file] });
    await heed(at, digest);
    writeFileSync(file, `${theirs.pem}\n`);
    await heed(at, digest);
    nowMs += 5_001;
    await expect(heed(at, digest)).rejects.toEqual(refused('DENIED', 'cosign.pub', 'by another key'));
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('where nobody answers, what is remembered holds, and the rest is 503', async () => {
  const [known, unknown] = [await images.image(repo, 'one'), await images.image(repo, 'two')];
  await images.sign(repo, known, ours);
  await images.sign(repo, unknown, ours);
  const at = gate();
  await heed(at, known);
  images.down = true;
  nowMs += 3_600_000;
  await heed(at, known);
  await expect(heed(at, unknown)).rejects.toEqual(refused('UNAVAILABLE', 'cannot be known now'));
  images.down = false;
  await heed(at, unknown);
});

test('a policy that only warns lets everything through, and counts', async () => {
  const digest = await images.image(repo, 'one');
  const at = gate([ours], { mode: 'warn' });
  await heed(at, digest);
  images.down = true;
  await heed(at, await images.image(repo, 'two'));
  expect(await counted()).toEqual([
    ['missing', 1],
    ['unavailable', 1],
  ]);
});

test('many who ask at once have it found out once, and who leaves ends nothing for the others', async () => {
  const digest = await images.image(repo, 'one');
  await images.sign(repo, digest, ours);
  const at = gate();
  const leaving = new AbortController();
  const left = at.heed({ repo, digest }, CallContext.begin({ signal: leaving.signal }));
  const all = Array.from({ length: 100 }, () => heed(at, digest));
  leaving.abort(new Error('left'));
  await expect(left).rejects.toThrow('left');
  await expect(at.heed({ repo, digest }, CallContext.begin({ signal: leaving.signal }))).rejects.toThrow('left');
  await Promise.all(all);
  expect(images.read).toHaveLength(2);
});

describe('what clients need to look for themselves', () => {
  test('passes, whatever its tag: signatures of both forms, by whomever', async () => {
    const digest = await images.image(repo, 'one');
    const at = gate();
    await heed(at, await images.sign(repo, digest, theirs), { tag: 'any' });
    await heed(at, await images.refer(repo, digest, theirs, 'bundle'));
    await heed(at, await images.refer(repo, digest, theirs, 'legacy'));
  });

  test('is told by its content: an image that is called so is none', async () => {
    const at = gate();
    const image = await images.image(repo, 'evil');
    const tag = `sha256-${'a'.repeat(64)}.sig`;
    await expect(heed(at, image, { tag })).rejects.toEqual(refused('DENIED'));
    // Layers that say that they are signatures, and are none.
    const layer = await images.signature(repo, theirs, Buffer.from('bin/sh'.padEnd(600, '\0')));
    await expect(heed(at, await images.attach(repo, image, [layer]), { tag })).rejects.toEqual(refused('DENIED'));
    // One that is JSON and an archive.
    const tar = Buffer.from(`{"${'x'.repeat(1000)}":1}`);
    const sum = (from: Buffer): number =>
      from.subarray(0, 512).reduce((all, byte, i) => all + (i >= 148 && i < 156 ? 32 : byte), 0);
    tar.write(`${sum(tar).toString(8).padStart(7, '0')} `, 148, 'latin1');
    const both = await images.signature(repo, theirs, tar);
    await expect(heed(at, await images.attach(repo, image, [both]), { tag })).rejects.toEqual(refused('DENIED'));
    // One that says that it is too large is not even read.
    const large = { ...(await images.signature(repo, theirs, payload(image, repo))), size: 2 ** 30 };
    await expect(heed(at, await images.attach(repo, image, [large]), { tag })).rejects.toEqual(refused('DENIED'));
    expect(images.read).not.toContain(large.digest);
    // Fields that other readers of JSON take for layers.
    const good = await images.signature(repo, theirs, payload(image, repo));
    const config = { mediaType: MEDIA.ociConfig, digest: good.digest, size: good.size };
    const twice = { mediaType: MEDIA.ociManifest, config, layers: [good], Layers: [] };
    await expect(heed(at, await images.manifest(repo, twice), { tag })).rejects.toEqual(refused('DENIED'));
  });
});
