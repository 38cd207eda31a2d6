/** One push of a new image through a proxy. What is acknowledged on the way counts, even where the rest fails. */
import { createHash, randomBytes } from 'node:crypto';
import type { Prng } from '../../../../core/prng.ts';
import type { Catalogue } from './catalogue.ts';
import { Failed, type Image, type PushRecord } from './records.ts';
import { manifestType, type Registry } from './registry.ts';

export type Pushing = {
  readonly no: number;
  readonly gateway: string;
  readonly registry: Registry;
  readonly catalogue: Catalogue;
  readonly random: Prng;
  readonly nowMs: () => number;
  /** Left out: drawn. */
  readonly layerBytes?: readonly number[] | undefined;
};
type Blob = { readonly digest: string; readonly content: Uint8Array };

const layersMax = 2;
/** What a tracker gives along, what a neighbour's first answer has, and pieces: how often of ten, and how large at most. */
const sizes = [
  { often: 4, bytes: 16 << 10 },
  { often: 3, bytes: 250 << 10 },
  { often: 2, bytes: 2 << 20 },
  { often: 1, bytes: 6 << 20 },
] as const;

export async function push(
  repo: string,
  tag: string,
  pushing: Pushing,
): Promise<PushRecord & { readonly image?: Image }> {
  const { no, gateway, registry, catalogue, random, nowMs } = pushing;
  const fromMs = nowMs();
  const record = (end: Partial<PushRecord> & { image?: Image }) => ({
    ...{ no, gateway, what: `${repo}:${tag}`, fromMs, toMs: nowMs() },
    ...end,
  });
  try {
    const { layerBytes = drawSizes(random) } = pushing;
    const layers = layerBytes.map((bytes) => blobOf(randomBytes(bytes)));
    const config = blobOf(Buffer.from(JSON.stringify({ os: 'linux', architecture: 'amd64', no, salt: random.unit() })));
    for (const blob of [...layers, config]) {
      await registry.putBlob(repo, blob, random.below(2) === 0);
      catalogue.held.push({ repo, digest: blob.digest, kind: 'blob' });
    }
    const manifest = manifestOf(config, layers);
    const blobs = [config, ...layers].map(({ digest, content }) => ({ digest, size: content.length }));
    const image = { repo, tag, manifest: manifest.digest, blobs };
    const acknowledged = catalogue.write(image, nowMs());
    await registry.putManifest(repo, tag, manifest.content);
    acknowledged(nowMs());
    return record({ image });
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    return record({ failure: error.failure });
  }
}

function drawSizes(random: Prng): number[] {
  return Array.from({ length: 1 + random.below(layersMax) }, () => drawSize(random));
}

function drawSize(random: Prng): number {
  let left = random.below(sizes.reduce((sum, { often }) => sum + often, 0));
  const size = sizes.find(({ often }) => {
    left -= often;
    return left < 0;
  });
  return 1 + random.below(size?.bytes ?? 1);
}

function blobOf(content: Uint8Array): Blob {
  return { digest: `sha256:${createHash('sha256').update(content).digest('hex')}`, content };
}

function manifestOf(config: Blob, layers: readonly Blob[]): Blob {
  const describe = (mediaType: string, { digest, content }: Blob) => ({ mediaType, digest, size: content.length });
  const manifest = {
    schemaVersion: 2,
    mediaType: manifestType,
    config: describe('application/vnd.oci.image.config.v1+json', config),
    layers: layers.map((layer) => describe('application/vnd.oci.image.layer.v1.tar', layer)),
  };
  return blobOf(Buffer.from(JSON.stringify(manifest)));
}
