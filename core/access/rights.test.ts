import { describe, expect, test } from 'vitest';
import { parseOciRequest } from '../oci/request.ts';
import { type AccessRule, type Action, ANONYMOUS, may, needs, type Subject, withoutMount } from './rights.ts';

const rules: readonly AccessRule[] = [
  { repositories: ['library/**'], who: ['anonymous'], may: ['pull'] },
  { repositories: ['team-a/*', 'shared/base'], who: ['group:team-a'], may: ['pull', 'push'] },
  { repositories: ['team-a/app'], who: ['user:alice'], may: ['delete'] },
  { repositories: ['inside/**'], who: ['users'], may: ['pull'] },
];
const alice: Subject = { name: 'alice', groups: ['team-a'] };
const bob: Subject = { name: 'bob', groups: ['team-b'] };

/** Who, where, and all that he may there. */
const table: readonly [who: Subject, repo: string, may: readonly Action[]][] = [
  [ANONYMOUS, 'library/app', ['pull']],
  [ANONYMOUS, 'library/deep/app', ['pull']],
  [ANONYMOUS, 'library', []],
  [ANONYMOUS, 'inside/app', []],
  [ANONYMOUS, 'team-a/app', []],
  [alice, 'library/app', ['pull']],
  [alice, 'inside/app', ['pull']],
  [alice, 'team-a/app', ['pull', 'push', 'delete']],
  [alice, 'team-a/web', ['pull', 'push']],
  [alice, 'team-a/web/deep', []],
  [alice, 'team-ab', []],
  [alice, 'shared/base', ['pull', 'push']],
  [alice, 'shared/base2', []],
  [bob, 'inside/app', ['pull']],
  [bob, 'team-a/app', []],
  [bob, 'library/app', ['pull']],
  // A name is no group, and whoever has no name is not the one that is called so.
  [{ name: 'team-a', groups: [] }, 'team-a/web', []],
  [{ groups: ['team-a'] }, 'team-a/web', []],
  [{ name: 'anonymous', groups: [] }, 'team-a/app', []],
];

describe('what a subject may', () => {
  test.each(table)('%j in %s: %j', (who, repo, actions) => {
    const found = (['pull', 'push', 'delete'] as const).filter((action) => may(rules, who, repo, action));
    expect(found).toEqual(actions);
  });

  test('without rules nobody may anything', () => {
    expect(may([], alice, 'library/app', 'pull')).toBe(false);
  });
});

const digest = `sha256:${'a'.repeat(64)}`;
const requests: readonly [method: string, target: string, needs: readonly string[]][] = [
  ['GET', '/v2/', []],
  ['GET', '/v2/_catalog', ['pull']],
  ['GET', '/v2/a/b/tags/list', ['pull a/b']],
  ['GET', `/v2/a/b/referrers/${digest}`, ['pull a/b']],
  ['GET', '/v2/a/b/manifests/latest', ['pull a/b']],
  ['HEAD', `/v2/a/b/manifests/${digest}`, ['pull a/b']],
  ['GET', `/v2/a/b/blobs/${digest}`, ['pull a/b']],
  ['HEAD', `/v2/a/b/blobs/${digest}`, ['pull a/b']],
  ['DELETE', '/v2/a/b/manifests/latest', ['delete a/b']],
  ['DELETE', `/v2/a/b/blobs/${digest}`, ['delete a/b']],
  ['PUT', '/v2/a/b/manifests/latest', ['push a/b']],
  ['POST', '/v2/a/b/blobs/uploads/', ['push a/b']],
  ['POST', `/v2/a/b/blobs/uploads/?mount=${digest}&from=c/d`, ['push a/b', 'pull c/d']],
  ['POST', `/v2/a/b/blobs/uploads/?digest=${digest}`, ['push a/b']],
  ['GET', '/v2/a/b/blobs/uploads/s', ['push a/b']],
  ['PATCH', '/v2/a/b/blobs/uploads/s', ['push a/b']],
  ['PUT', `/v2/a/b/blobs/uploads/s?digest=${digest}`, ['push a/b']],
  ['DELETE', '/v2/a/b/blobs/uploads/s', ['push a/b']],
];

describe('what a request needs', () => {
  test.each(requests)('%s %s: %j', (method, target, expected) => {
    const found = needs(parseOciRequest(method, target));
    expect(found.map(({ action, repo }) => (repo === undefined ? action : `${action} ${repo}`))).toEqual(expected);
  });

  test('every kind of request is in the table', () => {
    const kinds = new Set(requests.map(([method, target]) => parseOciRequest(method, target).kind));
    expect([...kinds].sort()).toEqual(
      [
        ...['ping', 'catalog', 'tags', 'referrers', 'manifestRead', 'manifestPut', 'manifestDelete', 'blobRead'],
        ...['blobDelete', 'uploadBegin', 'uploadStatus', 'uploadAppend', 'uploadCommit', 'uploadCancel'],
      ].sort(),
    );
  });

  test('without its mount a request begins an upload', () => {
    const request = parseOciRequest('POST', `/v2/a/b/blobs/uploads/?mount=${digest}&from=c/d`);
    expect(withoutMount(request)).toMatchObject({ kind: 'uploadBegin', repo: 'a/b', mount: undefined });
  });
});
