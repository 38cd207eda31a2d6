/** A blob, a manifest or a tag removed from a registry; what is not there is fine. */

import { OCI_PATHS } from '../../../core/oci/paths.ts';
import type { RegistryApi } from './api.ts';
import type { RegistryPlace } from './layout.ts';

export async function deletePlace(
  api: RegistryApi,
  place: RegistryPlace,
  key: string,
  signal: AbortSignal,
): Promise<void> {
  const repo = api.nameOf(place.repo, key);
  const paths =
    place.kind === 'tag'
      ? [OCI_PATHS.manifest(repo, place.tag)]
      : place.kind === 'manifest'
        ? [OCI_PATHS.manifest(repo, place.digest)]
        : [OCI_PATHS.blob(repo, place.digest), OCI_PATHS.manifest(repo, place.digest)];
  for (const path of paths) {
    const scopes = [`repository:${repo}:pull,push,delete`];
    const answer = await api.call({
      ...{ method: 'DELETE', path, scopes, signal, doing: 'remove', object: key, expect: [404] },
    });
    if (answer.status === 404) await api.absent(answer, { method: 'DELETE', signal });
    else await answer.discard();
  }
}
