/** Media types that Shoal knows by name. */

export const MEDIA = {
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociLayer: 'application/vnd.oci.image.layer.v1.tar',
  ociEmpty: 'application/vnd.oci.empty.v1+json',
  octets: 'application/octet-stream',
} as const;

/** `image`: config and layers. `index`: other manifests. */
export const MANIFEST_TYPES: ReadonlyMap<string, 'image' | 'index'> = new Map([
  [MEDIA.dockerManifest, 'image'],
  [MEDIA.ociManifest, 'image'],
  [MEDIA.dockerList, 'index'],
  [MEDIA.ociIndex, 'index'],
]);

/** Types that once were manifests, and what to do instead. */
export const REFUSED_TYPES: ReadonlyMap<string, string> = new Map([
  ['application/vnd.docker.distribution.manifest.v1+json', 'Docker schema 1 is not supported: push schema 2 or OCI'],
  [
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
    'Docker schema 1 is not supported: push schema 2 or OCI',
  ],
  [
    'application/vnd.oci.artifact.manifest.v1+json',
    'the OCI artifact manifest was withdrawn: use an image manifest with artifactType',
  ],
]);

/** Layers that a registry need not hold where they name a URL of their own (Windows base layers). */
export const FOREIGN_LAYER_TYPES: ReadonlySet<string> = new Set([
  'application/vnd.docker.image.rootfs.foreign.diff.tar',
  'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
]);

/** The type of a `Content-Type` header without its parameters, in lower case; '' where there is none, or no type in it. */
export function mediaTypeOf(header: string | undefined): string {
  const type = (header ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  return /^[^\s/]+\/[^\s/]+$/.test(type) ? type : '';
}
