/**
 * `keys:` of a rule: how what lies in a backend that has paths is called. A word for all of it, or one each for blobs and
 * tags; what Kraken calls them (`name_path`) is understood.
 */

import * as z from 'zod';
import { identityBlobs, identityLinks } from './identity.ts';
import { type BlobLayout, dockerTagLinks, registryLayout } from './layout.ts';
import type { LinkLayout } from './links.ts';

const BLOBS: Readonly<Record<string, BlobLayout>> = {
  registry: registryLayout,
  sharded_docker_blob: registryLayout,
  identity: identityBlobs,
};
const TAGS: Readonly<Record<string, LinkLayout>> = {
  registry: registryLayout.links,
  docker_tag: dockerTagLinks,
  identity: identityLinks,
};

const both = 'keys: { blobs: sharded_docker_blob, tags: docker_tag }';
const WORDS = { blobs: BLOBS, tags: TAGS } as const;
const PARTS = ['blobs', 'tags'] as const;
const words = z.string().max(64);

export const keysSchema = z
  .union(
    [words, z.strictObject({ blobs: words.optional(), tags: words.optional() })],
    'expected registry or identity, or { blobs, tags } with a word each',
  )
  .superRefine((said, ctx) => {
    for (const part of PARTS) {
      const [word, path] = typeof said === 'string' ? [said, []] : [said[part], [part]];
      if (word === undefined || Object.hasOwn(WORDS[part], word)) continue;
      const other = PARTS.find((one) => Object.hasOwn(WORDS[one], word));
      const message =
        other === undefined
          ? `expected one of ${Object.keys(WORDS[part]).join(', ')}`
          : `${word} is Kraken's word for ${other} alone: write ${both}`;
      ctx.addIssue({ code: 'custom', path, message });
      if (typeof said === 'string') return;
    }
  });
export type KeysSaid = z.output<typeof keysSchema>;

/** What has keys of its own is not to be told any. */
export type HasPaths = { readonly blobs: boolean; readonly tags: boolean };

/** What of `keys` cannot be said of a backend whose keys are not ours to choose: where in the rule, and why. */
export function keysInVain(said: KeysSaid, has: HasPaths): { readonly path: string[]; readonly message: string }[] {
  const why = 'cannot be chosen: what this kind of backend keeps is called as it is there: leave it out';
  if (typeof said === 'string') return has.blobs || has.tags ? [] : [{ path: ['keys'], message: why }];
  return PARTS.filter((part) => said[part] !== undefined && !has[part]).map((part) => ({
    path: ['keys', part],
    message: why,
  }));
}

export type ChosenKeys = { readonly blobs: BlobLayout; readonly links: LinkLayout };

export function chosenKeys(said: KeysSaid | undefined): ChosenKeys {
  const { blobs = 'registry', tags = 'registry' } =
    typeof said === 'string' ? { blobs: said, tags: said } : (said ?? {});
  return { blobs: BLOBS[blobs] as BlobLayout, links: TAGS[tags] as LinkLayout };
}
