/**
 * Which key an object has. What is not said otherwise is the Docker registry's layout (distribution/distribution,
 * registry/storage/paths.go), so that a registry, or Kraken with `sharded_docker_blob`, reads the bucket, and we read theirs.
 *
 * Rule: pure, and without a prefix; a backend puts its own before every key.
 */

import { type Digest, digestAlgorithm, digestHex, parseDigest } from '../../core/digest.ts';
import { type LinkLayout, linkLayout, type RegistryLinks } from './links.ts';

const root = 'docker/registry/v2';
const blobs = `${root}/blobs`;

export type BlobLayout = {
  /** Where the bytes of a blob are; a manifest's too. `repo`: where they are asked for, which few backends care about. */
  readonly blobKey: (digest: Digest, repo?: string) => string;
  /** The blob that `key` is of; undefined: of none. */
  readonly digestOf: (key: string) => Digest | undefined;
  /** `blobKey` is another one in another repository: what is known of a blob in one says nothing of it in another. */
  readonly perRepository?: boolean;
};

export type KeyLayout = BlobLayout & {
  /** Where a repository's tags, manifests and blobs are named. */
  readonly links: LinkLayout;
};

export const registryLayout: BlobLayout & { readonly links: RegistryLinks } = {
  blobKey(digest) {
    const hex = digestHex(digest);
    return `${blobs}/${digestAlgorithm(digest)}/${hex.slice(0, 2)}/${hex}/data`;
  },
  digestOf(key) {
    const [algorithm, first, hex = '', data, ...more] = key.startsWith(`${blobs}/`)
      ? key.slice(blobs.length + 1).split('/')
      : [];
    if (data !== 'data' || more.length > 0 || first !== hex.slice(0, 2)) return undefined;
    return parseDigest(`${algorithm}:${hex}`);
  },
  links: linkLayout(root),
};

/** As Kraken has tags with `docker_tag`: where a registry has them, and there is no link of a manifest or a blob. */
export const dockerTagLinks: LinkLayout = {
  ...registryLayout.links,
  linkKey: (of) => (of.kind === 'tag' ? registryLayout.links.linkKey(of) : undefined),
};
