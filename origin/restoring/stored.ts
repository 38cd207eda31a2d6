/** What backends list of blobs, a page at a time. Those that cannot list, or have a blob once for each repository, tell nothing. */

import { DIGEST_ALGORITHMS, type Digest, type DigestAlgorithm, digestOf } from '../../core/digest.ts';
import { pageKeysMax } from '../../platform/backends/backend.ts';
import type { Backed, Backends } from '../../platform/backends/backends.ts';

export type ListedBlob = { readonly digest: Digest; readonly size: number; readonly backend: string };

/** Whether anything can be found so. */
export function listable({ backend, layout }: Pick<Backed, 'backend' | 'layout'>): boolean {
  return backend.can.list && layout.perRepository !== true;
}

/** Rejects with BackendError. */
export async function* storedBlobs(
  backends: Pick<Backends, 'all'>,
  signal: AbortSignal,
): AsyncGenerator<readonly ListedBlob[]> {
  for (const backed of backends.all.filter(listable)) {
    const { backend, layout, name } = backed;
    for (const prefix of prefixesOf(backed)) {
      let after: string | undefined;
      do {
        const page = await backend.list(prefix, { after, max: pageKeysMax }, signal);
        yield page.objects.flatMap(({ key, size }) => {
          const digest = layout.digestOf(key);
          return digest === undefined ? [] : [{ digest, size, backend: name }];
        });
        after = page.next;
      } while (after !== undefined);
    }
  }
}

/** What all keys of blobs begin with, so that no tags are listed. */
export function prefixesOf({ blobKey }: Pick<Backed, 'blobKey'>): readonly string[] {
  const algorithms = Object.keys(DIGEST_ALGORITHMS) as DigestAlgorithm[];
  const prefixes = algorithms.map((algorithm) => {
    const [first, last] = ['0', 'f'].map((digit) => digit.repeat(DIGEST_ALGORITHMS[algorithm]));
    return inCommon(blobKey(digestOf(algorithm, first as string)), blobKey(digestOf(algorithm, last as string)));
  });
  // Of two that begin alike, the shorter one has all.
  return [...new Set(prefixes)].filter((one) => !prefixes.some((other) => other !== one && one.startsWith(other)));
}

function inCommon(one: string, other: string): string {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at++;
  return one.slice(0, at);
}
