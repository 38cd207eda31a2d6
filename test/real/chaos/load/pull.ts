/** One pull of an image: its manifest by tag or by digest, and every blob, each compared with its digest. Nothing is tried twice. */
import type { Catalogue } from './catalogue.ts';
import { Failed, type Image, type PullRecord, Wrong } from './records.ts';
import type { Registry } from './registry.ts';

export type Pulling = {
  readonly no: number;
  readonly gateway: string;
  readonly registry: Registry;
  readonly catalogue: Catalogue;
  readonly nowMs: () => number;
};
export type Wish =
  | { readonly by: 'tag'; readonly repo: string; readonly tag: string }
  | { readonly by: 'digest'; readonly image: Image };

/** At once, as container runtimes have it. */
const blobsAtOnce = 3;

export async function pull(wish: Wish, pulling: Pulling): Promise<PullRecord> {
  const { no, gateway, nowMs } = pulling;
  const fromMs = nowMs();
  const what = wish.by === 'tag' ? `${wish.repo}:${wish.tag}` : `${wish.image.repo}@${wish.image.manifest}`;
  const record = (end: Partial<PullRecord>): PullRecord => ({
    ...{ no, gateway, by: wish.by, what, fromMs, toMs: nowMs(), bytes: 0 },
    ...end,
  });
  try {
    return record({
      bytes: wish.by === 'tag' ? await byTag(wish, fromMs, pulling) : await byDigest(wish.image, pulling),
    });
  } catch (error) {
    if (error instanceof Wrong) return record({ wrong: error.message });
    if (!(error instanceof Failed)) throw error;
    // Whatever was asked for had been acknowledged: that it is not there is no failure, but a wrong answer.
    return error.failure.status === 404
      ? record({ wrong: error.message, failure: error.failure })
      : record({ failure: error.failure });
  }
}

async function byTag({ repo, tag }: { repo: string; tag: string }, fromMs: number, pulling: Pulling): Promise<number> {
  const { registry, catalogue, nowMs } = pulling;
  const manifest = await registry.manifest(repo, tag).catch((error: unknown) => {
    const read = { fromMs, toMs: nowMs() };
    if (error instanceof Failed && error.failure.status === 404 && catalogue.allowed(repo, tag, read).absent)
      return undefined;
    throw error;
  });
  // It was never acknowledged, and is not there: right.
  if (manifest === undefined) return 0;
  const { digests } = catalogue.allowed(repo, tag, { fromMs, toMs: nowMs() });
  if (!digests.has(manifest.digest)) {
    throw new Wrong(`tag ${repo}:${tag} gave ${manifest.digest}, and may only say ${[...digests].join(' or ')}`);
  }
  return manifest.bytes + (await blobsOf(repo, manifest.body, registry));
}

async function byDigest(image: Image, { registry }: Pulling): Promise<number> {
  const manifest = await registry.manifest(image.repo, image.manifest);
  if (manifest.digest !== image.manifest) throw new Wrong(`manifest ${image.manifest} came as ${manifest.digest}`);
  return manifest.bytes + (await blobsOf(image.repo, manifest.body, registry));
}

type Descriptor = { readonly digest: string; readonly size: number };

async function blobsOf(repo: string, manifest: Buffer, registry: Registry): Promise<number> {
  const { config, layers } = JSON.parse(manifest.toString()) as { config: Descriptor; layers: Descriptor[] };
  const wanted = [config, ...layers];
  let bytes = 0;
  const fetchNext = async (): Promise<void> => {
    for (let blob = wanted.shift(); blob !== undefined; blob = wanted.shift()) {
      const got = await registry.blob(repo, blob.digest);
      if (got.digest !== blob.digest) throw new Wrong(`blob ${blob.digest} came as ${got.digest}, ${got.bytes} bytes`);
      bytes += got.bytes;
    }
  };
  await Promise.all(Array.from({ length: blobsAtOnce }, fetchNext));
  return bytes;
}
