/**
 * How what the index knows lies in a bucket: which key each thing has. docs/index-bucket.md tells why.
 *
 * | key, below the store's prefix                         | what it is                                             |
 * |---|---|
 * | `about`                                               | which store this is, and in which format               |
 * | `names/REPO!`                                         | there is such a repository; never removed              |
 * | `repos/REPO!/t/TAG`                                   | cell: a tag, or its tombstone                          |
 * | `repos/REPO!/m/DIGEST`                                | cell: the record of a manifest, or its tombstone       |
 * | `repos/REPO!/on/DIGEST/TAG/BY`                        | mark: the write BY sets the tag to that manifest       |
 * | `gates/DIGEST`                                        | cell: since when it has no link; told; the epoch of its links |
 * | `links/DIGEST/EPOCH/b/REPO!`                          | cell: the repository has it as a blob                  |
 * | `links/DIGEST/EPOCH/m/REPO!/BY`                       | mark: the write BY made a record of it                 |
 * | `links/DIGEST/EPOCH/{l,c,s}/REPO!/DIGEST/BY`          | mark: that record has it as layer, child, subject      |
 * | `told/MS/DIGEST`                                      | mark: it was condemned then                            |
 * | `doing/BY`                                            | mark: the removal of a manifest is under way           |
 * | `documents/NAME`                                      | cell: a document                                       |
 *
 * What others are told has its keys in outbox/keys.ts.
 *
 * Rule 1: a list of keys is in the order that its reader wants: of repositories by code unit, of tags without regard to
 *   case first, of digests by their text.
 * Rule 2: no key is a folder of another: gateways on file systems have both as one.
 */

import { type Digest, parseDigest } from '../../../core/digest.ts';
import { repositoryValid, tagValid } from '../../../core/oci/name.ts';

/** Kinds of links: a blob of a repository, a manifest's own, a layer's or config's, a child's, a subject's. */
type LinkKind = 'b' | 'm' | 'l' | 'c' | 's';

/** What a record links to. */
export type LinkTarget = { readonly digest: Digest; readonly kind: LinkKind };

/** File systems take 255 bytes between two slashes. */
const partMax = 200;

/** Below all that a name may have, so that a name comes before those that it begins. */
const end = '!';
/** Above all that a name may have. */
const last = '~';

export const ABOUT = 'about';
export const NAMES = 'names/';
export const TOLD = 'told/';
export const DOING = 'doing/';
export const DOCUMENTS_AT = 'documents/';

/** In the order of the names: a slash and a dot each become two characters, and neither is a folder. */
export function repoKey(repo: string): string {
  return parted(repo.replaceAll('.', '.-').replaceAll('/', '.0')) + end;
}

export function repoOf(key: string): string {
  const name = key.slice(0, key.lastIndexOf(end)).replaceAll('/', '');
  return name.replaceAll('.0', '/').replaceAll('.-', '.');
}

/** undefined: the key is of no repository; somebody else has written it. */
export function repoIn(key: string): string | undefined {
  const name = repoOf(key);
  return repositoryValid(name) && repoKey(name) === key ? name : undefined;
}

/** Folded, then which letters are large ones: those come before the small. */
export function tagPart(tag: string): string {
  const folded = tag.toLowerCase();
  if (folded === tag) return `${folded}${end}z`;
  const bits = [...tag].map((char) => (/[A-Z]/.test(char) ? '0' : '1')).join('');
  const hex = (bits.match(/.{1,4}/g) ?? []).map((four) => Number.parseInt(four.padEnd(4, '0'), 2).toString(16));
  return `${folded}${end}${hex.join('')}`;
}

export function tagOf(key: string): string {
  const at = key.lastIndexOf(end);
  const [folded, which] = [key.slice(0, at), key.slice(at + 1)];
  if (which === 'z') return folded;
  const bits = [...which].map((hex) => Number.parseInt(hex, 16).toString(2).padStart(4, '0')).join('');
  return [...folded].map((char, i) => (bits[i] === '0' ? char.toUpperCase() : char)).join('');
}

/** undefined: the key is of no tag. */
export function tagIn(key: string): string | undefined {
  const name = tagOf(key);
  return tagValid(name) && tagPart(name) === key ? name : undefined;
}

export function digestKey(digest: string): string {
  return digest.replace(':', '-');
}

export function digestInKey(key: string): Digest | undefined {
  return parseDigest(key.replace('-', ':'));
}

export const tagsOf = (repo: string): string => `repos/${repoKey(repo)}/t/`;
export const tagCellAt = (repo: string, tag: string): string => tagsOf(repo) + tagPart(tag);
export const recordsOf = (repo: string): string => `repos/${repoKey(repo)}/m/`;
export const recordAt = (repo: string, digest: Digest): string => recordsOf(repo) + digestKey(digest);
export const nameAt = (repo: string): string => NAMES + repoKey(repo);
export const gateAt = (digest: Digest): string => `gates/${digestKey(digest)}`;
export const linksOf = (digest: Digest, epoch: number): string => `links/${digestKey(digest)}/${epoch}/`;
export const blobAt = (digest: Digest, epoch: number, repo: string): string =>
  `${linksOf(digest, epoch)}b/${repoKey(repo)}`;

/** Tags that are, or were to be, on a manifest. */
export const onOf = (repo: string, digest: Digest): string => `repos/${repoKey(repo)}/on/${digestKey(digest)}/`;
export const onAt = (repo: string, digest: Digest, { tag, by }: { tag: string; by: string }): string =>
  `${onOf(repo, digest)}${tagPart(tag)}/${by}`;

/** By a record: `manifest` is the record's own digest. */
export type RecordMark = { readonly repo: string; readonly manifest: Digest; readonly by: string };

export function markAt(digest: Digest, epoch: number, kind: LinkKind, { repo, manifest, by }: RecordMark): string {
  const at = `${linksOf(digest, epoch)}${kind}/${repoKey(repo)}/`;
  return kind === 'm' ? at + by : `${at}${digestKey(manifest)}/${by}`;
}

/** Of a key below linksOf(digest, …): whose mark it is. */
export function markOf(key: string, digest: Digest): (RecordMark & { readonly kind: LinkKind }) | undefined {
  const kind = key[0] as LinkKind;
  const at = key.indexOf(`${end}/`);
  if (at < 0) return undefined;
  const repo = repoOf(key.slice(2, at + 1));
  const [first = '', second = ''] = key.slice(at + 2).split('/');
  if (kind === 'm') return { kind, repo, manifest: digest, by: first };
  const manifest = digestInKey(first);
  return manifest && { kind, repo, manifest, by: second };
}

export const toldAt = (atMs: number, digest: Digest): string =>
  `${TOLD}${String(Math.max(0, Math.floor(atMs))).padStart(16, '0')}/${digestKey(digest)}`;
export const doingAt = (by: string): string => DOING + by;
export const documentAt = (name: string): string => DOCUMENTS_AT + name;

/** Comes after all keys of the repository, before those of the next; `name` is what a caller said. */
export function afterRepo(name: string): string {
  const valid = /^[a-z0-9._/-]*/.exec(name)?.[0] ?? '';
  return valid === name ? `${repoKey(name)}/${last}` : cut(repoKey(valid).slice(0, -1), name[valid.length]);
}

export function afterTag(name: string): string {
  const valid = /^[A-Za-z0-9._-]*/.exec(name)?.[0] ?? '';
  return valid === name ? tagPart(name) : cut(valid.toLowerCase(), name[valid.length]);
}

export function afterDigest(text: string): string {
  return /^[a-z0-9]+:[0-9a-f]+$/.test(text)
    ? `${digestKey(text)}/${last}`
    : digestKey(text.replace(/[^a-z0-9:].*$/s, ''));
}

/** Behind a valid part, what no name has: before what goes on, in its midst, or behind it. */
function cut(valid: string, char = last): string {
  if (char < '-') return `${valid}${end}${last}`;
  return char <= 'z' ? valid + char : valid + last;
}

/** Cut where its own beginning says, so that the order stays; no part ends with a dot, which Azure takes away. */
function parted(text: string): string {
  let [left, parts] = [text, ''];
  while (left.length > partMax) {
    const at = left[partMax - 1] === '.' ? partMax + 1 : partMax;
    if (left.length <= at) break;
    parts += `${left.slice(0, at)}/`;
    left = left.slice(at);
  }
  return parts + left;
}
