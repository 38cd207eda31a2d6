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
  /** Where it is named; undefined: nowhere, as what lies there has no such links, and its record is all that tells. */
  readonly linkKey: (of: Linked) => string | undefined;
  readonly recordKey: (of: Linked) => string;
  /** What all keys of a repository begin with, in the order of the keys; without one, all keys of all. */
  readonly under: (repo?: string) => readonly string[];
  /** What all records of a repository begin with. */
  readonly recordsUnder?: (repo: string) => string;
  /** What `key` is; undefined: nothing of ours. */
  readonly linkOf: (key: string) => LinkObject | undefined;
  /** Whether others keep it there beside their links, and it says nothing to us. */
  readonly beside?: (key: string) => boolean;
};
export type RegistryLinks = Omit<LinkLayout, 'linkKey'> & { readonly linkKey: (of: Linked) => string };

const LINKS = { blob: '_layers', manifest: '_manifests/revisions', tag: '_manifests/tags' } as const;
const RECORDS = { blob: '_shoal/blobs', manifest: '_shoal/manifests', tag: '_shoal/current' } as const;
const KINDS = ['blob', 'manifest', 'tag'] as const;

/** Of a registry: uploads under way, each digest that a tag was ever on, signatures as it once had them. */
const besides =
  /^(_uploads\/.+|_manifests\/tags\/[^/]+\/index\/[^/]+\/[0-9a-f]+\/link|_manifests\/revisions\/[^/]+\/[0-9a-f]+\/signatures\/.+)$/;

export function linkLayout(root: string): RegistryLinks {
  const repositories = `${root}/repositories/`;
  return {
    linkKey: (of) => `${repositories}${of.repo}/${LINKS[of.kind]}/${nameIn(of)}${lastOf(of.kind)}`,
    recordKey: (of) => `${repositories}${of.repo}/${recordPath(of)}`,
    under: (repo) => [repo === undefined ? repositories : `${repositories}${repo}/_`],
    recordsUnder: (repo) => `${repositories}${repo}/_shoal/`,
    linkOf: (key) => {
      const path = after(key, repositories);
      return path === undefined ? undefined : (recordIn(path) ?? linkIn(path));
    },
    beside: (key) => besides.test(apart(after(key, repositories) ?? '').rest),
  };
}

/** Where the record of something is, below its repository. */
export function recordPath(of: Linked): string {
  return `${RECORDS[of.kind]}/${nameIn(of)}`;
}

/** The record at `path`: a repository, and what `recordPath` gives. */
export function recordIn(path: string): LinkObject | undefined {
  const { repo, rest } = apart(path);
  for (const kind of KINDS) {
    const name = nameOf(kind, after(rest, `${RECORDS[kind]}/`));
    if (name !== undefined) return repo === undefined ? undefined : { repo, kind, name, part: 'record' };
  }
  return undefined;
}

function linkIn(path: string): LinkObject | undefined {
  const { repo, rest } = apart(path);
  for (const kind of KINDS) {
    const within = after(rest, `${LINKS[kind]}/`);
    const last = lastOf(kind);
    const name = within?.endsWith(last) ? nameOf(kind, within.slice(0, -last.length)) : undefined;
    if (name !== undefined) return repo === undefined ? undefined : { repo, kind, name, part: 'link' };
  }
  return undefined;
}

/** The repository that `path` begins with, and what comes after it. */
function apart(path: string): { readonly repo: string | undefined; readonly rest: string } {
  const end = path.indexOf('/_');
  const repo = path.slice(0, end);
  return end < 0 || !repositoryValid(repo) ? { repo: undefined, rest: '' } : { repo, rest: path.slice(end + 1) };
}

function lastOf(kind: Linked['kind']): string {
  return kind === 'tag' ? '/current/link' : '/link';
}

function nameIn({ kind, name }: Linked): string {
  const digest = name as Digest;
  return kind === 'tag' ? name : `${digestAlgorithm(digest)}/${digestHex(digest)}`;
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
