/**
 * Names of repositories and tags, and references (a tag or a digest).
 * Source: OCI distribution specification 1.1, "Pulling manifests".
 */

import { type Digest, parseDigest } from '../digest.ts';
import { repositoryLengthMax, tagLengthMax } from './limits.ts';

/** Several components joined by slashes; `.`, `_`, `__` and dashes only between letters and digits. */
const repositoryPattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const tagPattern = /^[a-zA-Z0-9_][a-zA-Z0-9._-]*$/;

/** What a manifest is asked for by. */
export type Reference =
  | { readonly kind: 'tag'; readonly tag: string }
  | { readonly kind: 'digest'; readonly digest: Digest };

export function repositoryValid(name: string): boolean {
  return name.length <= repositoryLengthMax && repositoryPattern.test(name);
}

export function tagValid(tag: string): boolean {
  return tag.length <= tagLengthMax && tagPattern.test(tag);
}

/** The reference in `text`, or undefined. A colon makes it a digest, since no tag has one. */
export function parseReference(text: string): Reference | undefined {
  if (!text.includes(':')) return tagValid(text) ? { kind: 'tag', tag: text } : undefined;
  const digest = parseDigest(text);
  return digest === undefined ? undefined : { kind: 'digest', digest };
}

export function referenceText(reference: Reference): string {
  return reference.kind === 'tag' ? reference.tag : reference.digest;
}
