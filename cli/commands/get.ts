/**
 * `shoal get`: a blob into a file, or an image into an OCI layout directory, through an agent. An interrupted
 * get goes on where it stood; what is there and right is not fetched again.
 */

import { mkdir, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Digest, digestAlgorithm, digestHex } from '../../core/digest.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { pullToFile } from '../registry/file.ts';
import type { Persistence } from '../registry/persistence.ts';
import { pullManifest } from '../registry/pull.ts';
import { blobRepository, parseTarget } from '../registry/ref.ts';
import { type Descriptor, type ManifestJson, Registry } from '../registry/registry.ts';
import { shellPersistence } from '../registry/shell.ts';
import { bytesText } from '../ui/format.ts';
import { Progress, type Screen } from '../ui/progress.ts';
import { fileArtifactType, titleAnnotation } from './put.ts';

/** Layers that are fetched at once, as container runtimes do. */
const parallel = 3;
/** An index refers to manifests, these to blobs: no deeper in practice. */
const depthMax = 4;

export type GetOptions = {
  readonly target: string;
  readonly output?: string | undefined;
  readonly agent: string;
  readonly screen: Screen;
  readonly signal: AbortSignal;
};

type Getting = {
  readonly registry: Registry;
  readonly repo: string;
  readonly progress: Progress;
  readonly persistence: () => Persistence;
  readonly signal: AbortSignal;
};

/** The line that tells what was written where. */
export async function get(options: GetOptions): Promise<string> {
  const target = parseTarget(options.target);
  await using registry = new Registry(options.agent);
  const progress = new Progress(options.screen);
  const persistence = () => shellPersistence(progress, options.signal);
  const getting: Getting = {
    registry,
    repo: target.kind === 'blob' ? blobRepository : target.repo,
    progress,
    persistence,
    signal: options.signal,
  };
  if (target.kind === 'blob')
    return await getBlob(getting, target.digest, await fileFor(options.output, digestHex(target.digest)));
  const manifest = await pullManifest(registry, target, persistence());
  const json = parseManifest(manifest.bytes, options.target);
  const layer = json.layers?.[0];
  if (json.artifactType === fileArtifactType && layer !== undefined) {
    const title = basename(layer.annotations?.[titleAnnotation] ?? '') || digestHex(layer.digest);
    return await getBlob(getting, layer.digest, await fileFor(options.output, title), layer.size);
  }
  const dir = options.output ?? basename(target.repo);
  return await getLayout(getting, { dir, reference: target.reference, manifest: { ...manifest, json } });
}

/** Where a file called `name` goes: into `output` where that is, or by its last '/' shall be, a directory. */
async function fileFor(output: string | undefined, name: string): Promise<string> {
  if (output === undefined) return name;
  const directory = output.endsWith('/') || (await stat(output).catch(() => undefined))?.isDirectory() === true;
  return directory ? join(output, name) : output;
}

async function getBlob(getting: Getting, digest: Digest, file: string, size?: number): Promise<string> {
  const { registry, repo, progress } = getting;
  const total = size ?? (await getting.persistence().run(() => registry.blobSize(repo, digest, getting.signal)));
  const [bar] = progress.begin([{ label: digestHex(digest).slice(0, 12), total: total ?? 0 }]);
  const onBytes = (bytes: number) => bar !== undefined && progress.advance(bar, bytes);
  await pullToFile(registry, { repo, digest, size: total, onBytes }, { file, persistence: getting.persistence() });
  progress.finish();
  return `${file}: ${bytesText(total ?? bar?.done ?? 0)}, ${digest}`;
}

type Layout = {
  readonly dir: string;
  readonly reference: string;
  readonly manifest: {
    readonly digest: Digest;
    readonly mediaType: string;
    readonly bytes: Uint8Array;
    readonly json: ManifestJson;
  };
};

/** OCI image layout 1.0: blobs/, oci-layout, and index.json last, so that a half-written layout names nothing. */
async function getLayout(getting: Getting, layout: Layout): Promise<string> {
  const { dir, manifest } = layout;
  const found = await collect(getting, layout);
  const bars = getting.progress.begin(
    found.blobs.map((blob) => ({ label: digestHex(blob.digest).slice(0, 12), total: blob.size })),
  );
  const queue = found.blobs.map((blob, i) => ({ blob, bar: bars[i] }));
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { blob, bar } = next;
      const onBytes = (bytes: number) => bar !== undefined && getting.progress.advance(bar, bytes);
      await getLayoutBlob(getting, { blob, file: blobFile(dir, blob.digest), onBytes });
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  getting.progress.finish();
  const { digest, mediaType, bytes } = manifest;
  const annotations = { 'org.opencontainers.image.ref.name': layout.reference };
  const index = { schemaVersion: 2, manifests: [{ mediaType, digest, size: bytes.length, annotations }] };
  await writeFile(join(dir, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(join(dir, 'index.json'), JSON.stringify(index));
  const sum = found.blobs.reduce((total, blob) => total + blob.size, 0);
  return `${dir}: OCI layout, ${found.blobs.length} blobs, ${bytesText(sum)}, ${digest}`;
}

/** Writes the manifests; returns the blobs that they name, each once. */
async function collect(getting: Getting, layout: Layout): Promise<{ blobs: readonly Descriptor[] }> {
  const blobs = new Map<Digest, Descriptor>();
  const visit = async (
    manifest: { digest: Digest; bytes: Uint8Array; json: ManifestJson },
    depth: number,
  ): Promise<void> => {
    if (depth > depthMax) throw new StartError(`${manifest.digest}: manifests are nested deeper than ${depthMax}`);
    const file = blobFile(layout.dir, manifest.digest);
    await mkdir(join(file, '..'), { recursive: true });
    await writeFile(file, manifest.bytes);
    const { config, layers = [], manifests = [] } = manifest.json;
    for (const blob of config === undefined ? layers : [config, ...layers]) blobs.set(blob.digest, blob);
    for (const { digest } of manifests) {
      const inner = await pullManifest(
        getting.registry,
        { repo: getting.repo, reference: digest },
        getting.persistence(),
      );
      await visit({ ...inner, json: parseManifest(inner.bytes, digest) }, depth + 1);
    }
  };
  await visit(layout.manifest, 0);
  return { blobs: [...blobs.values()] };
}

type LayoutBlob = { readonly blob: Descriptor; readonly file: string; readonly onBytes: (bytes: number) => void };

async function getLayoutBlob(getting: Getting, { blob, file, onBytes }: LayoutBlob): Promise<void> {
  const there = await stat(file).catch(() => undefined);
  // Files get their name only after they were verified.
  if (there?.size === blob.size) return onBytes(blob.size);
  const pull = { repo: getting.repo, digest: blob.digest, size: blob.size, onBytes };
  await pullToFile(getting.registry, pull, { file, persistence: getting.persistence() });
}

function blobFile(dir: string, digest: Digest): string {
  return join(dir, 'blobs', digestAlgorithm(digest), digestHex(digest));
}

function parseManifest(bytes: Uint8Array, what: string): ManifestJson {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as ManifestJson;
  } catch {
    throw new StartError(`${what}: the manifest is no JSON`);
  }
}
