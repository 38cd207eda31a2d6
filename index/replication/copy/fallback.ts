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

type Tags = Pick<RemoteTags, 'read' | 'putPlain'>;
type Subject = { readonly repo: string; readonly subject: Digest };

export async function listedBySubject(
  tags: Tags,
  { manifest, ...of }: Subject & { readonly manifest: SentManifest },
  signal: AbortSignal,
): Promise<void> {
  const entries = await entriesOf(tags, of, signal);
  if (entries.some((entry) => Object(entry).digest === manifest.digest)) return;
  const { artifactType, annotations } = parseManifest(manifest.bytes, manifest.mediaType);
  const { digest, mediaType, bytes } = manifest;
  const own = { mediaType, digest, size: bytes.length, artifactType, annotations };
  await list(tags, { ...of, entries: [...entries, own] }, signal);
}

/** It is listed no more. A list of none stays: a tag cannot be deleted everywhere. */
export async function unlistedBySubject(
  tags: Tags,
  { digest, ...of }: Subject & { readonly digest: Digest },
  signal: AbortSignal,
): Promise<void> {
  const entries = await entriesOf(tags, of, signal);
  const others = entries.filter((entry) => Object(entry).digest !== digest);
  if (others.length < entries.length) await list(tags, { ...of, entries: others }, signal);
}

async function list(
  tags: Tags,
  { repo, subject, entries }: Subject & { readonly entries: readonly unknown[] },
  signal: AbortSignal,
): Promise<void> {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests: entries }));
  const digest = digestOf('sha256', createHash('sha256').update(bytes).digest('hex'));
  await tags.putPlain(repo, tagOf(subject), { digest, mediaType: MEDIA.ociIndex, bytes }, signal);
}

async function entriesOf(tags: Tags, { repo, subject }: Subject, signal: AbortSignal): Promise<readonly unknown[]> {
  const found = await tags.read(repo, tagOf(subject), signal);
  if (found === undefined) return [];
  try {
    const { manifests } = JSON.parse(Buffer.from(found.bytes).toString()) as { readonly manifests?: unknown };
    if (Array.isArray(manifests)) return manifests;
  } catch {
    // As any other that is no index.
  }
  throw new BackendError(
    'refused',
    `${repo}:${tagOf(subject)} is no index of what refers to that digest: look at it there`,
  );
}

function tagOf(subject: Digest): string {
  return subject.replace(':', '-');
}
