import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ApiError } from '../contracts/errors.ts';
import { manifestBytesMax } from './limits.ts';
import { parseManifest } from './manifest.ts';
import { MEDIA } from './media.ts';

const digestNo = (n: number): string => `sha256:${n.toString(16).padStart(64, '0')}`;
const descriptor = (n: number, mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip', extra: object = {}) => ({
  mediaType,
  digest: digestNo(n),
  size: n,
  ...extra,
});
const config = descriptor(1, 'application/vnd.oci.image.config.v1+json');
const image = (extra: object = {}) => ({
  schemaVersion: 2,
  mediaType: MEDIA.ociManifest,
  config,
  layers: [descriptor(2), descriptor(3)],
  ...extra,
});
const index = (extra: object = {}) => ({
  schemaVersion: 2,
  mediaType: MEDIA.ociIndex,
  manifests: [descriptor(4, MEDIA.ociManifest)],
  ...extra,
});
const encode = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const parse = (value: unknown, type?: string) => parseManifest(encode(value), type);
const digests = (list: readonly { digest: string }[]): string[] => list.map(({ digest }) => digest);

function refusal(value: unknown, type?: string): string {
  try {
    parse(value, type);
  } catch (error) {
    if (error instanceof ApiError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
}

describe('manifests', () => {
  test.each([MEDIA.ociManifest, MEDIA.dockerManifest])('an image, %s', (mediaType) => {
    const manifest = parse(image({ mediaType }), `${mediaType}; charset=utf-8`);
    expect(manifest.mediaType).toBe(mediaType);
    expect(digests(manifest.blobs)).toEqual([digestNo(1), digestNo(2), digestNo(3)]);
    expect(manifest.manifests).toEqual([]);
    expect(manifest.artifactType).toBe('application/vnd.oci.image.config.v1+json');
  });

  test.each([MEDIA.ociIndex, MEDIA.dockerList])('an index, %s', (mediaType) => {
    const entries = [
      descriptor(4, MEDIA.ociManifest),
      descriptor(5, MEDIA.dockerManifest),
      descriptor(6, MEDIA.ociIndex),
      descriptor(4, MEDIA.ociManifest),
    ];
    const manifest = parse(index({ mediaType, manifests: entries }), mediaType);
    expect(digests(manifest.manifests)).toEqual([digestNo(4), digestNo(5), digestNo(6)]);
    expect([manifest.blobs, manifest.artifactType]).toEqual([[], undefined]);
  });

  test('an index of a build cache lists layers: they are blobs', () => {
    const manifest = parse(
      index({ manifests: [descriptor(2), descriptor(7, 'application/vnd.buildkit.cacheconfig.v0')] }),
    );
    expect([digests(manifest.blobs), manifest.manifests]).toEqual([[digestNo(2), digestNo(7)], []]);
  });

  test('an artifact: its type, subject and annotations', () => {
    const subject = descriptor(9, MEDIA.ociManifest);
    const manifest = parse(image({ artifactType: 'application/x', subject, annotations: { a: 'b' } }));
    expect(manifest).toMatchObject({
      artifactType: 'application/x',
      annotations: { a: 'b' },
      subject: { digest: digestNo(9) },
    });
    expect(digests(manifest.blobs)).not.toContain(digestNo(9));
    expect(parse(index({ artifactType: 'application/y', subject })).artifactType).toBe('application/y');
  });

  test('foreign layers with a URL need not be here; without one, or of another type, they must', () => {
    const foreign = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
    const urls = { urls: ['https://example.com/layer'] };
    const layers = [descriptor(2, foreign, urls), descriptor(3, foreign), descriptor(4, undefined, urls)];
    expect(digests(parse(image({ layers })).blobs)).toEqual([digestNo(1), digestNo(3), digestNo(4)]);
    const oci = descriptor(5, 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip', urls);
    expect(digests(parse(image({ layers: [oci] })).blobs)).toEqual([digestNo(1)]);
  });

  test('without a mediaType the header decides, and without that the shape', () => {
    const { mediaType: _image, ...bare } = image();
    const { mediaType: _index, ...bareIndex } = index();
    expect(parse(bare, MEDIA.dockerManifest).mediaType).toBe(MEDIA.dockerManifest);
    for (const vague of [undefined, '', 'application/json', 'application/octet-stream']) {
      expect([parse(bare, vague).mediaType, parse(bareIndex, vague).mediaType]).toEqual([
        MEDIA.ociManifest,
        MEDIA.ociIndex,
      ]);
    }
  });

  test.each([undefined, null])('lists and fields that are %s are as absent: others take them', (nothing) => {
    const artifact = parse(image({ layers: nothing, manifests: nothing, fsLayers: nothing, subject: nothing }));
    expect([digests(artifact.blobs), artifact.subject]).toEqual([[digestNo(1)], undefined]);
    const rest = { mediaType: nothing, artifactType: nothing, annotations: nothing };
    expect(parse(image({ ...rest, layers: nothing })).mediaType).toBe(MEDIA.ociManifest);
    const empty = parse(index({ manifests: nothing, layers: nothing, config: nothing, subject: nothing }));
    expect([empty.mediaType, empty.manifests, empty.blobs]).toEqual([MEDIA.ociIndex, [], []]);
    expect(parse({ schemaVersion: 2, mediaType: nothing, manifests: null }).mediaType).toBe(MEDIA.ociIndex);
    expect(digests(parse(image({ layers: [descriptor(2, undefined, { urls: nothing })] })).blobs)).toHaveLength(2);
  });

  test('the same blob twice is one reference', () => {
    expect(digests(parse(image({ layers: [descriptor(2), descriptor(2)] })).blobs)).toEqual([digestNo(1), digestNo(2)]);
  });

  test.each([
    ['not JSON', '{', undefined, 'JSON'],
    ['no object', '[]', undefined, 'object'],
    ['schema 1', { schemaVersion: 1, fsLayers: [], name: 'x' }, undefined, 'schema 1'],
    ['schema 1 by type', { schemaVersion: 1 }, 'application/vnd.docker.distribution.manifest.v1+prettyjws', 'schema 1'],
    [
      'schema 1 type on schema 2',
      { ...image(), mediaType: undefined },
      'application/vnd.docker.distribution.manifest.v1+json',
      'schema 1',
    ],
    ['no schemaVersion', { ...image(), schemaVersion: undefined }, undefined, 'absent'],
    ['schemaVersion as text', image({ schemaVersion: '2' }), undefined, 'schemaVersion'],
    ['another type than the header', image(), MEDIA.ociIndex, 'Content-Type'],
    ['an unknown type', image({ mediaType: 'application/x' }), undefined, 'application/x'],
    [
      'the artifact manifest',
      { schemaVersion: 2, mediaType: 'application/vnd.oci.artifact.manifest.v1+json' },
      undefined,
      'withdrawn',
    ],
    ['layers and manifests', image({ manifests: [] }), undefined, 'manifests'],
    ['manifests and layers', index({ layers: [] }), undefined, 'layers'],
    ['an index with a config', index({ config }), undefined, 'config'],
    ['no config', image({ config: undefined }), undefined, "'config'"],
    ['a config that is null', image({ config: null }), undefined, "'config'"],
    ['layers that are none', image({ layers: {} }), undefined, "'layers'"],
    ['a layer that is none', image({ layers: [1] }), undefined, 'layers[0]'],
    ['manifests that are none', index({ manifests: {} }), undefined, "'manifests'"],
    ['a manifest that is null', index({ manifests: [null] }), undefined, 'manifests[0]'],
    [
      'a bad digest',
      image({ layers: [descriptor(2), { ...descriptor(2), digest: 'sha256:x' }] }),
      undefined,
      'layers[1].digest',
    ],
    ['a digest that is none', image({ config: { ...config, digest: 7 } }), undefined, 'config.digest'],
    ['a negative size', image({ layers: [descriptor(-1)] }), undefined, 'layers[0]'],
    ['a size with a fraction', image({ config: { ...config, size: 1.5 } }), undefined, 'config.size'],
    ['no media type', image({ config: { ...config, mediaType: undefined } }), undefined, 'config.mediaType'],
    ['annotations that are none', image({ annotations: { a: 1 } }), undefined, 'annotations'],
    ['an annotation that poisons', image({ annotations: JSON.parse('{"__proto__":"x"}') }), undefined, '__proto__'],
    ['a subject that is none', image({ subject: 'x' }), undefined, "'subject'"],
    ['urls that are none', image({ layers: [descriptor(2, undefined, { urls: [1] })] }), undefined, 'layers[0].urls'],
    ['artifactType that is none', image({ artifactType: {} }), undefined, 'artifactType'],
  ])('refuses %s, and says where', (_name, value, type, where) => {
    const told = refusal(value, type);
    expect(told).toMatch(/^MANIFEST_INVALID: /);
    expect(told).toContain(where);
  });

  test('refuses text that is no UTF-8, and more than 4 MiB', () => {
    expect(() => parseManifest(Uint8Array.of(0x22, 0xff, 0x22), undefined)).toThrow(/UTF-8/);
    expect(refusal(`${JSON.stringify(image())}${' '.repeat(manifestBytesMax)}`)).toMatch(/^SIZE_INVALID/);
  });

  test('whatever JSON comes: a manifest or an ApiError', () => {
    const field = fc.constantFrom(
      'schemaVersion',
      'mediaType',
      'config',
      'layers',
      'manifests',
      'subject',
      'annotations',
      'artifactType',
    );
    fc.assert(
      fc.property(fc.constantFrom(image(), index()), field, fc.jsonValue(), (base, key, value) => {
        expect(refusal({ ...base, [key]: value })).toMatch(/^accepted$|^MANIFEST_INVALID/);
      }),
      { numRuns: 1000 },
    );
  });
});
