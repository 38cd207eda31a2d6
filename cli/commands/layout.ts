/**
 * An image as an OCI image layout 1.0 in a directory: blobs/, oci-layout, and index.json last, so that a half-written
 * layout names nothing.
 *
 * Rule 1: what is descended into are manifests, by their media type. An index may list other things (a build cache its
 *         layers): these are blobs.
 * Rule 2: a digest has passed its grammar before it becomes part of a path.
 */

import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Digest, digestAlgorithm, digestHex } from '../../core/digest.ts';
import { type Descriptor, type Manifest, parseManifest } from '../../core/oci/manifest.ts';
import type { Persistence } from '../../platform/clients/registry/persistence.ts';
import { pullManifest } from '../../platform/clients/registry/pull.ts';
import type { Registry } from '../../platform/clients/registry/registry.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { pullToFile } from '../transfer/file.ts';
import { bytesText } from '../ui/format.ts';
import type { Progress } from '../ui/progress.ts';

/** Layers that are fetched at once, as container runtimes do. */
const parallel = 3;
/** An index refers to manifests, these to blobs: no deeper in practice. */
const depthMax = 4;

export type Getting = {
  readonly registry: Registry;
  readonly repo: string;
  readonly progress: Progress;
  readonly persistence: () => Persistence;
  readonly signal: AbortSignal;
};

export type FoundManifest = { readonly digest: Digest; readonly mediaType: string; readonly bytes: Uint8Array };

type Layout = {
  readonly dir: string;
  /** Under which the layout names the image. */
  readonly name: string;
  readonly manifest: FoundManifest;
};

/** The line that tells what was written where. */
export async function getLayout(getting: Getting, layout: Layout): Promise<string> {
  const { dir, manifest } = layout;
  const { progress } = getting;
  const blobs = await collect(getting, dir, manifest);
  const bars = progress.begin(blobs.map((blob) => ({ label: digestHex(blob.digest).slice(0, 12), total: blob.size })));
  const queue = blobs.map((blob, i) => ({ blob, bar: bars[i] }));
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { bar, blob } = next;
      const onBytes = (bytes: number) => bar !== undefined && progress.advance(bar, bytes);
      const pull = { repo: getting.repo, digest: blob.digest, size: blob.size, onBytes };
      const file = blobFile(dir, blob.digest);
      const say = (line: string) => progress.say(line);
      await pullToFile(getting.registry, pull, { file, persistence: getting.persistence(), say });
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  progress.finish();
  const { digest, mediaType, bytes } = manifest;
  const annotations = { 'org.opencontainers.image.ref.name': layout.name };
  const index = { schemaVersion: 2, manifests: [{ mediaType, digest, size: bytes.length, annotations }] };
  await writeFile(join(dir, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(join(dir, 'index.json'), JSON.stringify(index));
  const sum = blobs.reduce((total, blob) => total + blob.size, 0);
  return `${dir}: OCI layout, ${blobs.length} blobs, ${bytesText(sum)}, ${digest}`;
}

/** Writes the manifests; returns the blobs that they name, each once. */
async function collect(getting: Getting, dir: string, root: FoundManifest): Promise<readonly Descriptor[]> {
  const blobs = new Map<Digest, Descriptor>();
  const visit = async (manifest: FoundManifest, depth: number): Promise<void> => {
    if (depth > depthMax) throw new StartError(`${manifest.digest}: manifests are nested deeper than ${depthMax}`);
    const parsed = readManifest(manifest);
    const file = blobFile(dir, manifest.digest);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, manifest.bytes);
    for (const blob of parsed.blobs) blobs.set(blob.digest, blob);
    for (const { digest } of parsed.manifests) {
      const at = { repo: getting.repo, reference: digest };
      await visit(await pullManifest(getting.registry, at, getting.persistence()), depth + 1);
    }
  };
  await visit(root, 0);
  return [...blobs.values()];
}

/** Throws MANIFEST_INVALID, naming the manifest. */
export function readManifest({ bytes, mediaType, digest }: FoundManifest): Manifest {
  try {
    return parseManifest(bytes, mediaType);
  } catch (error) {
    if (error instanceof Error) error.message = `${digest}: ${error.message}`;
    throw error;
  }
}

function blobFile(dir: string, digest: Digest): string {
  return join(dir, 'blobs', digestAlgorithm(digest), digestHex(digest));
}
