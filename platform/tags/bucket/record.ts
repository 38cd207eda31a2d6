/** The record of a manifest in a repository, as its cell has it, and what it links to. */

import { isDeepStrictEqual } from 'node:util';
import type { ReferrerRecord } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import type { ManifestWrite } from '../store.ts';
import type { LinkTarget } from './layout.ts';

export type HeldManifest = Omit<ReferrerRecord, 'digest'> & {
  /** The write that made it as it is: its marks have that name. Later ones that only touch the cell keep it. */
  readonly made: string;
  readonly subject?: Digest | undefined;
  readonly blobs: readonly Digest[];
  readonly manifests: readonly Digest[];
};

export function heldManifestOf(put: ManifestWrite, made: string): HeldManifest {
  const { mediaType, size, subject, artifactType, annotations, blobs, manifests } = put;
  return { made, mediaType, size, subject, artifactType, annotations, blobs, manifests };
}

export function referrerOf(
  digest: Digest,
  { mediaType, size, artifactType, annotations }: HeldManifest,
): ReferrerRecord {
  return {
    ...{ digest, mediaType, size },
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

/** What it refers to, each once; not itself. */
export function linkTargetsOf({
  blobs,
  manifests,
  subject,
}: Pick<HeldManifest, 'blobs' | 'manifests' | 'subject'>): LinkTarget[] {
  const all: LinkTarget[] = [
    ...[...new Set(blobs)].map((digest) => ({ digest, kind: 'l' as const })),
    ...[...new Set(manifests)].map((digest) => ({ digest, kind: 'c' as const })),
  ];
  return subject === undefined ? all : [...all, { digest: subject, kind: 's' }];
}

/** Whether it is the same but for the write that made it. */
export function same(one: HeldManifest, other: HeldManifest): boolean {
  return isDeepStrictEqual(plain(one), plain(other));
}

/** As it comes back from a cell: without what is undefined. */
function plain(manifest: HeldManifest): unknown {
  return JSON.parse(JSON.stringify({ ...manifest, made: '' }));
}
