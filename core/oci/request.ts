/**
 * A registry request as one value: method, path and query of the OCI distribution specification 1.1,
 * parsed once, for a component to switch on.
 *
 * Rule 1: works on the raw target. Every segment is decoded alone, after the split, so that an encoded
 *         slash or dot never makes another path.
 * Rule 2: what comes out has passed the grammar of names, tags and digests; nothing else gets further.
 * Rule 3: a path is read from its end, since a repository may have components called `blobs` or `manifests`.
 * Rule 4: an optional parameter that cannot be used (a mount, a page, a filter) is as absent. One that says what the
 *         client will hold us to (the digest of a body or its algorithm, a tag to be set) is refused instead.
 */

import { ApiError } from '../contracts/errors.ts';
import { DIGEST_ALGORITHMS, type Digest, type DigestAlgorithm, parseDigest } from '../digest.ts';
import { pageEntriesMax, pushTagsMax } from './limits.ts';
import { parseReference, type Reference, repositoryValid, tagValid } from './name.ts';
import { parseQuery, type Query } from './query.ts';

/** At most `limit` entries after `last`. */
export type PageRequest = { readonly limit: number; readonly last?: string | undefined };

export type MountQuery = { readonly digest: Digest; readonly from: string };

/** `head`: the answer has no body. */
export type OciRequest =
  | { readonly kind: 'ping' }
  | { readonly kind: 'catalog'; readonly page: PageRequest }
  | { readonly kind: 'tags'; readonly repo: string; readonly page: PageRequest }
  | {
      readonly kind: 'referrers';
      readonly repo: string;
      readonly digest: Digest;
      readonly artifactType?: string | undefined;
      readonly page: PageRequest;
    }
  | { readonly kind: 'manifestRead'; readonly repo: string; readonly reference: Reference; readonly head: boolean }
  | {
      readonly kind: 'manifestPut';
      readonly repo: string;
      readonly reference: Reference;
      /** Tags to set beside the reference. */
      readonly tags: readonly string[];
    }
  | { readonly kind: 'manifestDelete'; readonly repo: string; readonly reference: Reference }
  | { readonly kind: 'blobRead'; readonly repo: string; readonly digest: Digest; readonly head: boolean }
  | { readonly kind: 'blobDelete'; readonly repo: string; readonly digest: Digest }
  | {
      readonly kind: 'uploadBegin';
      readonly repo: string;
      /** Set where the body is the whole blob. */
      readonly digest?: Digest | undefined;
      readonly mount?: MountQuery | undefined;
      readonly algorithm: DigestAlgorithm;
    }
  | { readonly kind: 'uploadStatus'; readonly repo: string; readonly session: string }
  | { readonly kind: 'uploadAppend'; readonly repo: string; readonly session: string }
  | { readonly kind: 'uploadCommit'; readonly repo: string; readonly session: string; readonly digest: Digest }
  | { readonly kind: 'uploadCancel'; readonly repo: string; readonly session: string };

const root = '/v2';

/**
 * `target` is the request line's: path and query as sent. Throws ApiError NAME_INVALID, TAG_INVALID,
 * DIGEST_INVALID, REQUEST_INVALID, NOT_FOUND or UNSUPPORTED (a method that the path does not take).
 */
export function parseOciRequest(method: string, target: string): OciRequest {
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = parseQuery(mark < 0 ? '' : target.slice(mark + 1));
  if (path === root || path === `${root}/`) return only(method, READ, { kind: 'ping' });
  if (!path.startsWith(`${root}/`)) throw notFound(path);
  const segments = path
    .slice(root.length + 1)
    .split('/')
    .map(decodeSegment);
  if (segments.length === 1 && segments[0] === '_catalog')
    return only(method, READ, { kind: 'catalog', page: pageOf(query) });
  return byTail(method, segments, query);
}

/** The allowed methods of an error UNSUPPORTED, for its `Allow` header. */
export function allowedMethods(error: ApiError): readonly string[] | undefined {
  const detail = error.detail as { allow?: readonly string[] } | undefined;
  return error.code === 'UNSUPPORTED' ? detail?.allow : undefined;
}

const READ = ['GET', 'HEAD'] as const;

function byTail(method: string, segments: readonly string[], query: Query): OciRequest {
  const count = segments.length;
  const [third, second, last] = [segments[count - 3], segments[count - 2], segments[count - 1] ?? ''];
  const nameOf = (tail: number): string => repositoryOf(segments, count - tail);
  if (third === 'blobs' && second === 'uploads') {
    return last === '' ? uploadBegin(method, nameOf(3), query) : uploadSession(method, nameOf(3), last, query);
  }
  if (second === 'blobs' && last === 'uploads') return uploadBegin(method, nameOf(2), query);
  if (second === 'manifests') return manifest(method, nameOf(2), last, query);
  if (second === 'blobs') return blob(method, nameOf(2), last);
  if (second === 'referrers') return referrers(method, nameOf(2), last, query);
  if (second === 'tags' && last === 'list')
    return only(method, READ, { kind: 'tags', repo: nameOf(2), page: pageOf(query) });
  throw notFound(`${root}/${segments.join('/')}`);
}

function manifest(method: string, repo: string, text: string, query: Query): OciRequest {
  const reference = parseReference(text);
  if (reference === undefined) {
    if (text.includes(':')) throw badDigest(text);
    throw new ApiError('TAG_INVALID', `'${shown(text)}' is no tag: letters, digits, '_', '.' and '-', at most 128`);
  }
  switch (method) {
    case 'GET':
    case 'HEAD':
      return { kind: 'manifestRead', repo, reference, head: method === 'HEAD' };
    case 'PUT':
      return { kind: 'manifestPut', repo, reference, tags: pushTags(reference, query) };
    case 'DELETE':
      return { kind: 'manifestDelete', repo, reference };
    default:
      throw unsupported(method, [...READ, 'PUT', 'DELETE']);
  }
}

/** ?tag= may be given several times beside a digest. */
function pushTags(reference: Reference, query: Query): string[] {
  const tags = new Set(query.all('tag').filter((tag) => tag !== ''));
  for (const tag of tags) {
    if (!tagValid(tag)) throw new ApiError('TAG_INVALID', `'${shown(tag)}' in ?tag= is no tag`);
  }
  if (reference.kind === 'tag') tags.add(reference.tag);
  if (tags.size > pushTagsMax) throw new ApiError('REQUEST_INVALID', `at most ${pushTagsMax} tags in one push`);
  return [...tags];
}

function blob(method: string, repo: string, text: string): OciRequest {
  const digest = digestIn(text);
  switch (method) {
    case 'GET':
    case 'HEAD':
      return { kind: 'blobRead', repo, digest, head: method === 'HEAD' };
    case 'DELETE':
      return { kind: 'blobDelete', repo, digest };
    default:
      throw unsupported(method, [...READ, 'DELETE']);
  }
}

function referrers(method: string, repo: string, text: string, query: Query): OciRequest {
  const artifactType = query.first('artifactType') || undefined;
  return only(method, READ, { kind: 'referrers', repo, digest: digestIn(text), artifactType, page: pageOf(query) });
}

function uploadBegin(method: string, repo: string, query: Query): OciRequest {
  const digest = query.first('digest') || undefined;
  return only(method, ['POST'], {
    kind: 'uploadBegin',
    repo,
    digest: digest === undefined ? undefined : digestIn(digest),
    mount: mountOf(query.first('mount'), query.first('from')),
    algorithm: algorithmOf(query.first('digest-algorithm')),
  });
}

/** A mount that cannot be: the client gets an upload to push the blob with, as the specification has it. */
function mountOf(mount = '', from = ''): MountQuery | undefined {
  const digest = parseDigest(mount);
  return digest === undefined || !repositoryValid(from) ? undefined : { digest, from };
}

function algorithmOf(text = ''): DigestAlgorithm {
  if (text === '') return 'sha256';
  if (Object.hasOwn(DIGEST_ALGORITHMS, text)) return text as DigestAlgorithm;
  const known = Object.keys(DIGEST_ALGORITHMS).join(', ');
  throw new ApiError('DIGEST_INVALID', `digest-algorithm '${shown(text)}' is not supported: use one of ${known}`);
}

function uploadSession(method: string, repo: string, session: string, query: Query): OciRequest {
  switch (method) {
    case 'GET':
    case 'HEAD':
      return { kind: 'uploadStatus', repo, session };
    case 'PATCH':
      return { kind: 'uploadAppend', repo, session };
    case 'PUT': {
      const digest = query.first('digest');
      if (digest === undefined) throw new ApiError('DIGEST_INVALID', 'the PUT that ends an upload needs ?digest=');
      return { kind: 'uploadCommit', repo, session, digest: digestIn(digest) };
    }
    case 'DELETE':
      return { kind: 'uploadCancel', repo, session };
    default:
      throw unsupported(method, [...READ, 'PATCH', 'PUT', 'DELETE']);
  }
}

function pageOf(query: Query): PageRequest {
  const n = query.first('n');
  const last = query.first('last') || undefined;
  if (n === undefined || !/^\d{1,15}$/.test(n)) return { limit: pageEntriesMax, last };
  return { limit: Math.min(Number(n), pageEntriesMax), last };
}

function repositoryOf(segments: readonly string[], count: number): string {
  const name = segments.slice(0, Math.max(count, 0)).join('/');
  // A segment that held an encoded slash would join to a longer name than was asked for.
  if (!repositoryValid(name) || segments.slice(0, count).some((segment) => segment.includes('/'))) throw badName(name);
  return name;
}

function digestIn(text: string): Digest {
  const digest = parseDigest(text);
  if (digest === undefined) throw badDigest(text);
  return digest;
}

function decodeSegment(segment: string): string {
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new ApiError('NAME_INVALID', `'${shown(segment)}' is not percent-encoded UTF-8`);
  }
}

function only(method: string, allowed: readonly string[], request: OciRequest): OciRequest {
  if (!allowed.includes(method)) throw unsupported(method, allowed);
  return request;
}

function unsupported(method: string, allow: readonly string[]): ApiError {
  return new ApiError('UNSUPPORTED', `${shown(method)} is not possible here: use ${allow.join(', ')}`, { allow });
}

function notFound(path: string): ApiError {
  return new ApiError('NOT_FOUND', `${shown(path)} is no path of the registry API`);
}

function badName(name: string): ApiError {
  return new ApiError(
    'NAME_INVALID',
    `'${shown(name)}' is no repository name: lower-case letters and digits, '.', '_' or '-' between them, '/' between parts, at most 255`,
  );
}

function badDigest(text: string): ApiError {
  return new ApiError(
    'DIGEST_INVALID',
    `'${shown(text)}' is no digest: sha256: and 64, or sha512: and 128, lower-case hex digits`,
  );
}

/** What a stranger sent, short enough for a message. */
function shown(text: string): string {
  return text.length <= 160 ? text : `${text.slice(0, 160)}...`;
}
