import { expect, test } from 'vitest';
import type { Digest } from '../../core/digest.ts';
import { registryLayout } from './layout.ts';
import type { Linked } from './links.ts';

const hex = '0f'.repeat(32);
const name = `sha256:${hex}` as Digest;
const repo = 'library/a--b/c.d_e__f';
const { links } = registryLayout;
const root = `docker/registry/v2/repositories/${repo}`;

test('links lie where the Docker registry has them, records beside them where it looks for nothing', () => {
  const keys = (of: Linked): string[] => [links.linkKey(of), links.recordKey(of)];
  expect(keys({ repo, kind: 'tag', name: 'V1.0-x_y' })).toEqual([
    `${root}/_manifests/tags/V1.0-x_y/current/link`,
    `${root}/_shoal/current/V1.0-x_y`,
  ]);
  expect(keys({ repo, kind: 'manifest', name })).toEqual([
    `${root}/_manifests/revisions/sha256/${hex}/link`,
    `${root}/_shoal/manifests/sha256/${hex}`,
  ]);
  expect(keys({ repo, kind: 'blob', name })).toEqual([
    `${root}/_layers/sha256/${hex}/link`,
    `${root}/_shoal/blobs/sha256/${hex}`,
  ]);
});

test('each key is read back, and begins as all of its repository do, and not as those of one below', () => {
  for (const of of [
    { repo, kind: 'tag', name: '_' },
    { repo: 'a', kind: 'manifest', name },
    { repo: 'a/0', kind: 'blob', name: `sha512:${'ab'.repeat(64)}` },
  ] as const) {
    for (const [part, key] of [
      ['link', links.linkKey(of)],
      ['record', links.recordKey(of)],
    ] as const) {
      expect(links.linkOf(key)).toEqual({ ...of, part });
      const [all, own, other] = [links.under(), links.under(of.repo), links.under('a')].map(([start = '?']) => start);
      expect(key.startsWith(all as string) && key.startsWith(own as string)).toBe(true);
      expect(key.startsWith(other as string) && of.repo !== 'a').toBe(false);
    }
  }
});

test.each([
  registryLayout.blobKey(name),
  `${root}/_manifests/tags/x/index/sha256/${hex}/link`,
  `${root}/_manifests/tags/../current/link`,
  `${root}/_manifests/tags/x/current/link/y`,
  `${root}/_manifests/revisions/sha256/${hex}`,
  `${root}/_manifests/revisions/sha256/${hex.slice(1)}/link`,
  `${root}/_uploads/x/data`,
  `${root}/_shoal/current/x/y`,
  `${root}/_shoal/current/`,
  `${root}/_shoal/other/x`,
  'docker/registry/v2/repositories/A/_shoal/current/x',
  'docker/registry/v2/repositories/_shoal/current/x',
  `elsewhere/${root}/_shoal/current/x`,
])('%s is none of them', (key) => {
  expect(links.linkOf(key)).toBeUndefined();
});
