/** What a key is of: `repository:tag` is a row of Kraken's table, as Kraken calls a tag; all else a record of ours. */

import { repositoryValid, tagValid } from '../../../core/oci/name.ts';

export type TagAt = { readonly repository: string; readonly tag: string };

export function tagAt(key: string): TagAt | undefined {
  const at = key.indexOf(':');
  const [repository, tag] = [key.slice(0, at), key.slice(at + 1)];
  return at > 0 && repositoryValid(repository) && tagValid(tag) ? { repository, tag } : undefined;
}

export function keyOfTag({ repository, tag }: TagAt): string {
  return `${repository}:${tag}`;
}
