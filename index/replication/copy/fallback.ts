/**
 * What refers to a manifest, listed at a registry that does not list it itself: under a tag that is the subject's digest, as
 * OCI distribution 1.1 has it ("Referrers Tag Schema"), where cosign and others look for it.
 *
 * Rule: what others have listed there stays. Nothing there is conditional: of two clusters that list at one moment one is lost,
 *   as with any other client.
 */

import { createHash } from 'node:crypto';
import { type Digest, digestOf } from '../../../core/digest.ts';
import { parseManifest } from '../../../core/oci/manifest.ts';
import { MEDIA } from '../../../core/oci/media.ts';
import { BackendError } from '../../../platform/backends/backend.ts';
import type { RemoteTags, SentManifest } from '../remote/tags.ts';

type Listed = { readonly repo: string; readonly subject: Digest; readonly manifest: SentManifest };

export async function listedBySubject(
  tags: Pick<RemoteTags, 'read' | 'putPlain'>,
  { repo, subject, manifest }: Listed,
  signal: AbortSignal,
): Promise<void> {
  const tag = subject.replace(':', '-');
  const entries = entriesIn(await tags.read(repo, tag, signal), `${repo}:${tag}`);
  if (entries.some((entry) => Object(entry).digest === manifest.digest)) return;
  const { artifactType, annotations } = parseManifest(manifest.bytes, manifest.mediaType);
  const { digest, mediaType, bytes } = manifest;
  const own = { mediaType, digest, size: bytes.length, artifactType, annotations };
  const index = { schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests: [...entries, own] };
  const all = Buffer.from(JSON.stringify(index));
  const named = digestOf('sha256', createHash('sha256').update(all).digest('hex'));
  await tags.putPlain(repo, tag, { digest: named, mediaType: MEDIA.ociIndex, bytes: all }, signal);
}

function entriesIn(text: string | undefined, name: string): readonly unknown[] {
  if (text === undefined) return [];
  try {
    const { manifests } = JSON.parse(text) as { readonly manifests?: unknown };
    if (Array.isArray(manifests)) return manifests;
  } catch {
    // As any other that is no index.
  }
  throw new BackendError('refused', `${name} is no index of what refers to that digest: look at it there`);
}
