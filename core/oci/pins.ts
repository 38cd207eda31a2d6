/**
 * What an operator names that is to stay in a cache or on an origin's disk: `sha256:…`, `library/app:v1`, or a pattern of
 * repositories, all of whose tags are meant.
 */

import { type Digest, parseDigest } from '../digest.ts';
import { repositoryValid, tagValid } from './name.ts';
import { repositoryPatternValid } from './pattern.ts';

export type Pin =
  | { readonly kind: 'digest'; readonly digest: Digest }
  | { readonly kind: 'image'; readonly repo: string; readonly tag: string }
  | { readonly kind: 'repositories'; readonly pattern: string };

/** undefined: it is none of these. */
export function parsePin(text: string): Pin | undefined {
  const digest = parseDigest(text);
  if (digest !== undefined) return { kind: 'digest', digest };
  const colon = text.lastIndexOf(':');
  if (colon < 0) return repositoryPatternValid(text) ? { kind: 'repositories', pattern: text } : undefined;
  const [repo, tag] = [text.slice(0, colon), text.slice(colon + 1)];
  // A digest that is none, rather than a repository of that name.
  if (/^sha(256|512)$/.test(repo)) return undefined;
  return repositoryValid(repo) && tagValid(tag) ? { kind: 'image', repo, tag } : undefined;
}

/** Of an index: digests of what it lists for other platforms than this architecture's Linux. What says nothing is for all. */
export function otherPlatforms(index: Uint8Array, architecture: string): ReadonlySet<string> {
  const others = new Set<string>();
  const { manifests } = JSON.parse(new TextDecoder().decode(index)) as { manifests?: unknown };
  if (!Array.isArray(manifests)) return others;
  for (const listed of manifests as { digest?: unknown; platform?: { os?: unknown; architecture?: unknown } }[]) {
    const { digest, platform } = listed ?? {};
    if (typeof digest !== 'string' || typeof platform !== 'object' || platform === null) continue;
    const known = typeof platform.architecture === 'string' && platform.architecture !== 'unknown';
    if (known && (platform.os !== 'linux' || platform.architecture !== architecture)) others.add(digest);
  }
  return others;
}
