/**
 * The keys of what an index keeps: of each repository its blobs, manifests and tags, beside the blobs (layout.ts).
 *
 * A `link` is what the Docker registry has there (registry/storage/paths.go), a digest as text: one on the same bucket
 * reads our tags and manifests, and we read its. A `record` says in JSON what a link cannot: which version this is, or that
 * it was deleted. Records lie under `_shoal/`, which a registry passes over, and sort behind all links of the repository:
 * those of tags before those of manifests, so that a list shows which tags have gone before what they were on.
 */

import { type Digest, digestAlgorithm, digestHex, parseDigest } from '../../core/digest.ts';
import { repositoryValid, tagValid } from '../../core/oci/name.ts';

/** `name`: a tag, or a digest. */
export type Linked = { readonly repo: string; readonly kind: 'blob' | 'manifest' | 'tag'; readonly name: string };
export type LinkObject = Linked & { readonly part: 'link' | 'record' };

export type LinkLayout = {
  readonly linkKey: (of: Linked) => string;
  readonly recordKey: (of: Linked) => string;
  /** What all keys of a repository begin with; without one, all keys of all. */
  readonly under: (repo?: string) => string;
  /** What `key` is; undefined: nothing of ours. */
  readonly linkOf: (key: string) => LinkObject | undefined;
};

const LINKS = { blob: '_layers', manifest: '_manifests/revisions', tag: '_manifests/tags' } as const;
const RECORDS = { blob: '_shoal/blobs', manifest: '_shoal/manifests', tag: '_shoal/current' } as const;
const KINDS = ['blob', 'manifest', 'tag'] as const;

export function linkLayout(root: string): LinkLayout {
  const repositories = `${root}/repositories/`;
  const folder = ({ repo, kind, name }: Linked, folders: typeof LINKS | typeof RECORDS): string =>
    `${repositories}${repo}/${folders[kind]}/${kind === 'tag' ? name : pathOf(name as Digest)}`;
  return {
    linkKey: (of) => `${folder(of, LINKS)}/${of.kind === 'tag' ? 'current/link' : 'link'}`,
    recordKey: (of) => folder(of, RECORDS),
    under: (repo) => (repo === undefined ? repositories : `${repositories}${repo}/_`),
    linkOf: (key) => (key.startsWith(repositories) ? parsed(key.slice(repositories.length)) : undefined),
  };
}

function pathOf(digest: Digest): string {
  return `${digestAlgorithm(digest)}/${digestHex(digest)}`;
}

function parsed(path: string): LinkObject | undefined {
  const end = path.indexOf('/_');
  const repo = path.slice(0, end);
  if (end < 0 || !repositoryValid(repo)) return undefined;
  const rest = path.slice(end + 1);
  for (const kind of KINDS) {
    const record = nameOf(kind, after(rest, `${RECORDS[kind]}/`));
    if (record !== undefined) return { repo, kind, name: record, part: 'record' };
    const within = after(rest, `${LINKS[kind]}/`);
    const last = kind === 'tag' ? '/current/link' : '/link';
    const link = within?.endsWith(last) ? nameOf(kind, within.slice(0, -last.length)) : undefined;
    if (link !== undefined) return { repo, kind, name: link, part: 'link' };
  }
  return undefined;
}

function after(text: string, start: string): string | undefined {
  return text.startsWith(start) ? text.slice(start.length) : undefined;
}

function nameOf(kind: Linked['kind'], text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (kind === 'tag') return tagValid(text) ? text : undefined;
  const [algorithm, hex, ...more] = text.split('/');
  return more.length > 0 ? undefined : parseDigest(`${algorithm}:${hex}`);
}
