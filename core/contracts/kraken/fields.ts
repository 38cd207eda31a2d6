/** What Kraken's paths have in common: `repo:tag` as one part of a path, and `true` or `false` in a query. */

import { repositoryValid, tagValid } from '../../oci/name.ts';
import { ApiError } from '../errors.ts';
import { Malformed, type Parser, textThat } from '../parse.ts';
import type { Param } from '../route.ts';

/** Characters of what is no tag that a refusal shows. */
const shownMax = 80;

/** `repo:tag`, URL-encoded. */
export const inKrakenTag: Param<string> = {
  parser: textThat((text) => split(text) !== undefined, 'is no repository:tag, URL-encoded'),
  refused: 'TAG_INVALID',
};

export const truth: Parser<boolean | undefined> = (value) => {
  if (value === undefined) return undefined;
  if (value === 'true' || value === 'false') return value === 'true';
  throw new Malformed('is neither true nor false');
};

/** Repository and tag of what `inKrakenTag` has read. */
export function krakenTag(text: string): { readonly repo: string; readonly tag: string } {
  const found = split(text);
  if (found !== undefined) return found;
  throw new ApiError('TAG_INVALID', `'${text.slice(0, shownMax)}' is no repository:tag, URL-encoded`);
}

function split(text: string): { repo: string; tag: string } | undefined {
  const colon = text.lastIndexOf(':');
  const [repo, tag] = [text.slice(0, Math.max(colon, 0)), text.slice(colon + 1)];
  return repositoryValid(repo) && tagValid(tag) ? { repo, tag } : undefined;
}
