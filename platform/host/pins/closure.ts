/** All that an image consists of, as its manifests tell. */

import { ApiError } from '../../../core/contracts/errors.ts';
import type { Digest } from '../../../core/digest.ts';
import { manifestBytesMax } from '../../../core/oci/limits.ts';
import { parseManifest } from '../../../core/oci/manifest.ts';
import { otherPlatforms } from '../../../core/oci/pins.ts';

/** Manifests of one image: an index of indexes ends somewhere. */
const manifestsMax = 256;

export type Sized = { readonly digest: Digest; readonly size: number };
/** A manifest's bytes; throws ApiError where nobody has them, or can be asked. */
export type ReadManifest = (repo: string, of: Sized) => Promise<Uint8Array>;
/** `architecture` undefined: every platform's. */
type ClosureOf = { readonly repo: string; readonly root: Sized; readonly architecture: string | undefined };

/** The manifest, what it lists, and so on; for an index, of one architecture. */
export async function closureOf({ repo, root, architecture }: ClosureOf, read: ReadManifest): Promise<Sized[]> {
  const all = new Map<Digest, Sized>([[root.digest, root]]);
  const waiting = [root];
  for (let manifest = waiting.shift(), looked = 0; manifest !== undefined; manifest = waiting.shift(), looked += 1) {
    if (looked === manifestsMax)
      throw new ApiError('MANIFEST_INVALID', `${root.digest} lists more than ${manifestsMax} manifests`);
    if (manifest.size > manifestBytesMax)
      throw new ApiError('SIZE_INVALID', `manifest ${manifest.digest} has ${manifest.size} bytes`);
    const bytes = await read(repo, manifest);
    const { blobs, manifests } = parseManifest(bytes, undefined);
    const others = architecture === undefined ? new Set<string>() : otherPlatforms(bytes, architecture);
    for (const { digest, size } of blobs) all.set(digest, { digest, size });
    for (const { digest, size } of manifests) {
      if (others.has(digest) || all.has(digest)) continue;
      all.set(digest, { digest, size });
      waiting.push({ digest, size });
    }
  }
  return [...all.values()];
}

/** As images name it. */
export function architectureOf(arch: string): string {
  return arch === 'x64' ? 'amd64' : arch === 'ia32' ? '386' : arch;
}
