/** What of the images that a proxy is told of it is to prefetch: names, as Kraken's users write them, and notifications. */

import { type Digest, parseDigest } from '../../digest.ts';
import { MANIFEST_TYPES, mediaTypeOf } from '../../oci/media.ts';
import { repositoryValid } from '../../oci/name.ts';
import { ApiError } from '../errors.ts';
import { krakenTag } from './fields.ts';
import type { RegistryEvent } from './proxy.ts';

/** An image by its tag. `told`: what Kraken's answer calls it, without host and namespace. */
export type NamedImage = { readonly repo: string; readonly tag: string; readonly told: string };

/** Of `host/repository:tag`: the first part is the host, whatever it looks like, as at Kraken. Throws TAG_INVALID. */
export function imageNamed(text: string): NamedImage {
  const slash = text.indexOf('/');
  if (slash < 0) throw new ApiError('TAG_INVALID', `'${text.slice(0, 200)}' is no host/repository:tag`);
  const { repo, tag } = krakenTag(text.slice(slash + 1));
  return { repo, tag, told: `${repo.slice(repo.indexOf('/') + 1)}:${tag}` };
}

export type PushedImage = { readonly repo: string; readonly digest: Digest; readonly mediaType: string };

/** The manifest that an event tells was pushed; undefined: it tells of something else. */
export function imagePushed({ action, target }: RegistryEvent): PushedImage | undefined {
  const mediaType = mediaTypeOf(target?.mediaType);
  const digest = parseDigest(target?.digest ?? '');
  const repo = target?.repository ?? '';
  if (action !== 'push' || !MANIFEST_TYPES.has(mediaType) || digest === undefined) return undefined;
  return repositoryValid(repo) ? { repo, digest, mediaType } : undefined;
}
