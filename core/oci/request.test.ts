import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ApiError } from '../contracts/errors.ts';
import type { Digest } from '../digest.ts';
import { pageEntriesMax, pushTagsMax } from './limits.ts';
import { repositoryValid, tagValid } from './name.ts';
import { OCI_PATHS } from './paths.ts';
import { allowedMethods, parseOciRequest } from './request.ts';

const hex = 'ab'.repeat(32);
const digest = `sha256:${hex}`;
const long = `sha512:${hex}${hex}`;

function codeOf(method: string, target: string): string {
  try {
    return parseOciRequest(method, target).kind;
  } catch (error) {
    if (error instanceof ApiError) return error.code;
    throw error;
  }
}

test('what a client asks for by its paths is what is read of them', () => {
  const { catalog, commit, mount, page, tags, upload, uploads } = OCI_PATHS;
  const read = parseOciRequest;
  expect(read('GET', page(catalog, { limit: 5, last: 'a/b+c' }))).toMatchObject({ page: { limit: 5, last: 'a/b+c' } });
  expect(read('GET', page(tags('a/b'), { limit: 5 }))).toEqual({ kind: 'tags', repo: 'a/b', page: { limit: 5 } });
  expect(read('POST', mount('a', digest as Digest, 'b/c'))).toMatchObject({
    repo: 'a',
    mount: { digest, from: 'b/c' },
  });
  for (const [method, path] of [
    ['PUT', upload('a', 's')],
    ['PUT', `${upload('a', 's')}?state=1`],
    ['POST', uploads('a')],
  ])
    expect(read(method as string, commit(path as string, digest as Digest))).toMatchObject({ repo: 'a', digest });
});

describe('a request as a value', () => {
  const tag = { kind: 'tag', tag: 'v1.0' };
  test.each([
    ['GET', '/v2/', { kind: 'ping' }],
    ['HEAD', '/v2', { kind: 'ping' }],
    ['GET', '/v2/_catalog', { kind: 'catalog', page: { limit: pageEntriesMax } }],
    ['GET', '/v2/_catalog?n=5&last=a%2Fb', { kind: 'catalog', page: { limit: 5, last: 'a/b' } }],
    ['GET', '/v2/a/b/tags/list?n=999999999', { kind: 'tags', repo: 'a/b', page: { limit: pageEntriesMax } }],
    ['GET', '/v2/a/manifests/v1.0', { kind: 'manifestRead', repo: 'a', reference: tag, head: false }],
    ['HEAD', '/v2/a/manifests/v1.0', { kind: 'manifestRead', repo: 'a', reference: tag, head: true }],
    ['PUT', '/v2/a/manifests/v1.0', { kind: 'manifestPut', repo: 'a', reference: tag, tags: ['v1.0'] }],
    [
      'PUT',
      `/v2/a/manifests/${long}?tag=x&tag=y&tag=x`,
      { kind: 'manifestPut', repo: 'a', reference: { kind: 'digest', digest: long }, tags: ['x', 'y'] },
    ],
    [
      'DELETE',
      `/v2/a/manifests/${digest}`,
      { kind: 'manifestDelete', repo: 'a', reference: { kind: 'digest', digest } },
    ],
    ['GET', `/v2/a/b/c/blobs/${digest}`, { kind: 'blobRead', repo: 'a/b/c', digest, head: false }],
    ['GET', `/v2/a/blobs/sha256%3a${hex}?ns=docker.io`, { kind: 'blobRead', repo: 'a', digest, head: false }],
    ['DELETE', `/v2/a/blobs/${digest}`, { kind: 'blobDelete', repo: 'a', digest }],
    ['POST', '/v2/a/blobs/uploads/', { kind: 'uploadBegin', repo: 'a', algorithm: 'sha256' }],
    ['POST', '/v2/a/blobs/uploads?digest-algorithm=sha512', { kind: 'uploadBegin', repo: 'a', algorithm: 'sha512' }],
    [
      'POST',
      `/v2/a/blobs/uploads/?mount=${digest}&from=b/c`,
      { kind: 'uploadBegin', repo: 'a', algorithm: 'sha256', mount: { digest, from: 'b/c' } },
    ],
    [
      'POST',
      `/v2/a/blobs/uploads/?digest=${long}`,
      { kind: 'uploadBegin', repo: 'a', algorithm: 'sha256', digest: long },
    ],
    ['GET', '/v2/a/blobs/uploads/x.y', { kind: 'uploadStatus', repo: 'a', session: 'x.y' }],
    ['PATCH', '/v2/a/blobs/uploads/x', { kind: 'uploadAppend', repo: 'a', session: 'x' }],
    ['PUT', `/v2/a/blobs/uploads/x?digest=${digest}`, { kind: 'uploadCommit', repo: 'a', session: 'x', digest }],
    ['DELETE', '/v2/a/blobs/uploads/x', { kind: 'uploadCancel', repo: 'a', session: 'x' }],
    [
      'GET',
      `/v2/a/referrers/${digest}?artifactType=a/b+json`,
      { kind: 'referrers', repo: 'a', digest, artifactType: 'a/b+json', page: { limit: pageEntriesMax } },
    ],
    [
      'GET',
      `/v2/a/referrers/${digest}?n=7&last=${long}`,
      { kind: 'referrers', repo: 'a', digest, page: { limit: 7, last: long } },
    ],
  ])('%s %s', (method, target, expected) => {
    expect(parseOciRequest(method, target)).toEqual(expected);
  });

  test.each([
    ['POST', `/v2/a/blobs/uploads/?mount=${digest}&from=`],
    ['POST', `/v2/a/blobs/uploads/?mount=${digest}&from=../x`],
    ['POST', `/v2/a/blobs/uploads/?mount=${digest}&from=B`],
    ['POST', `/v2/a/blobs/uploads/?mount=${digest}&from=%zz`],
    ['POST', `/v2/a/blobs/uploads/?mount=${digest}`],
    ['POST', '/v2/a/blobs/uploads/?mount=&from=b'],
    ['POST', '/v2/a/blobs/uploads/?mount=latest&from=b'],
    ['POST', '/v2/a/blobs/uploads/?from=b'],
    ['POST', '/v2/a/blobs/uploads/?digest='],
    ['POST', '/v2/a/blobs/uploads/?digest-algorithm='],
    ['POST', '/v2/a/blobs/uploads/?%zz&%=1&=&x'],
    ['PUT', `/v2/a/manifests/${digest}?tag=&tag=%ff`],
    ['GET', '/v2/a/tags/list?n='],
    ['GET', '/v2/a/tags/list?n=1e3'],
    ['GET', '/v2/a/tags/list?n=-1'],
    ['GET', '/v2/a/tags/list?n=%zz&last='],
    ['GET', '/v2/_catalog?n=many&last=%ff'],
    ['GET', `/v2/a/referrers/${digest}?artifactType=&n=x`],
  ])('%s %s: an optional parameter that cannot be used is as absent', (method, target) => {
    expect(parseOciRequest(method, target)).toEqual(parseOciRequest(method, target.split('?', 1)[0] as string));
  });

  test.each([
    ['/v2/blobs/uploads/manifests/latest', 'blobs/uploads', 'latest'],
    ['/v2/tags/list/manifests/list', 'tags/list', 'list'],
    ['/v2/a/manifests/manifests/manifests', 'a/manifests', 'manifests'],
  ])('components called like routes: %s', (target, repo, tag) => {
    expect(parseOciRequest('GET', target)).toMatchObject({ repo, reference: { kind: 'tag', tag } });
  });

  test.each([
    ['GET', '/v1/', 'NOT_FOUND'],
    ['GET', '/v2x/', 'NOT_FOUND'],
    ['GET', '/v2/a', 'NOT_FOUND'],
    ['GET', '/v2/a/tags/all', 'NOT_FOUND'],
    ['GET', '/v2/a/_catalog', 'NOT_FOUND'],
    ['GET', '/v2/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/manifests/x', 'NAME_INVALID'],
    ['POST', '/v2/blobs/uploads/', 'NAME_INVALID'],
    ['GET', '/v2/../a/manifests/x', 'NAME_INVALID'],
    ['GET', '/v2/%2e%2e/a/manifests/x', 'NAME_INVALID'],
    ['GET', '/v2/a%2fb/manifests/x', 'NAME_INVALID'],
    ['GET', '/v2/a%2Fb/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/%ff/manifests/x', 'NAME_INVALID'],
    ['GET', '/v2/a/manifests/..', 'TAG_INVALID'],
    ['GET', '/v2/a/manifests/', 'TAG_INVALID'],
    ['GET', '/v2/a/manifests/-x', 'TAG_INVALID'],
    ['GET', '/v2/a/manifests/md5:00', 'DIGEST_INVALID'],
    ['GET', '/v2/a/blobs/latest', 'DIGEST_INVALID'],
    ['GET', `/v2/a/blobs/sha256:${hex.toUpperCase()}`, 'DIGEST_INVALID'],
    ['GET', '/v2/a/referrers/latest', 'DIGEST_INVALID'],
    ['POST', '/v2/a/blobs/uploads/?digest=x', 'DIGEST_INVALID'],
    ['POST', '/v2/a/blobs/uploads/?digest-algorithm=constructor', 'DIGEST_INVALID'],
    ['PUT', `/v2/a/manifests/${digest}?tag=-x`, 'TAG_INVALID'],
    ['PUT', '/v2/a/blobs/uploads/x?digest=%zz', 'DIGEST_INVALID'],
    [
      'PUT',
      `/v2/a/manifests/x?${Array.from({ length: pushTagsMax }, (_, i) => `tag=t${i}`).join('&')}`,
      'REQUEST_INVALID',
    ],
    ['BREW', `/v2/a/blobs/${digest}`, 'UNSUPPORTED'],
  ])('%s %s is %s', (method, target, code) => {
    expect(codeOf(method, target)).toBe(code);
  });

  test('what a path does not take names what it takes', () => {
    const error = (() => {
      try {
        return parseOciRequest('POST', '/v2/a/tags/list');
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error instanceof ApiError && allowedMethods(error)).toEqual(['GET', 'HEAD']);
  });

  test('whatever comes in: a value whose names are valid, or an ApiError', () => {
    const pieces = [
      '/',
      'v2',
      'a',
      '..',
      '%2e',
      '%2f',
      'blobs',
      'uploads',
      'manifests',
      'tags',
      'list',
      'referrers',
      digest,
      '?',
      '&',
      'n=',
      'digest=',
      'tag=',
      '%',
      'é',
    ];
    const target = fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 4 })), { maxLength: 12 });
    const method = fc.constantFrom('GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE');
    fc.assert(
      fc.property(method, target, (verb, parts) => {
        try {
          const request = parseOciRequest(verb, `/v2/${parts.join('')}`);
          if ('repo' in request) expect(repositoryValid(request.repo)).toBe(true);
          if ('reference' in request && request.reference.kind === 'tag')
            expect(tagValid(request.reference.tag)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(ApiError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('names', () => {
  test.each(['a', 'a/b', 'library/ubuntu', 'a.b_c__d-e--f/0', `${'a/'.repeat(127)}a`])('%s is a repository', (name) => {
    expect(repositoryValid(name)).toBe(true);
  });
  test.each([
    '',
    'A',
    '/a',
    'a/',
    'a//b',
    '.a',
    'a.',
    'a..b',
    'a___b',
    '-a',
    'a/-b',
    'a b',
    'a\n',
    'é',
    '..',
    `${'a/'.repeat(128)}a`,
  ])('%j is none', (name) => {
    expect(repositoryValid(name)).toBe(false);
  });
  test('tags', () => {
    for (const tag of ['a', '_x', 'V1.2-3', '0', 't'.repeat(128)]) expect([tag, tagValid(tag)]).toEqual([tag, true]);
    for (const tag of ['', '.a', '-a', 'a/b', 'a:b', 'a b', 'a\n', 't'.repeat(129)])
      expect([tag, tagValid(tag)]).toEqual([tag, false]);
  });
});
