/**
 * Names of repositories and tags as they are allowed to be, under the keys that a rule without `keys` gives them: of the
 * conformance suite.
 */

import { expect, test } from 'vitest';
import { repositoryLengthMax, tagLengthMax } from '../../../core/oci/limits.ts';
import { repositoryValid, tagValid } from '../../../core/oci/name.ts';
import type { Backend } from '../backend.ts';
import { registryLayout } from '../layout.ts';
import { bytesOf, type Conforming, never } from '../objects.fixtures.ts';

const letters = 'abcdefghijklmnopqrstuvwxyz';
const digits = '0123456789';
/** Every character that a tag may have, each at a place where it may be; and what could be taken for something else. */
export const tagNames: readonly string[] = [
  ...[...`${letters}${letters.toUpperCase()}${digits}_`],
  '_.-',
  '__init__',
  'v1.2.3-rc.1_x86',
  'latest',
  'Latest',
  'a..b',
  'a.',
  'link',
  'current',
  'index',
  'sha256-0123456789abcdef.sig',
  `${letters}${letters.toUpperCase()}${digits}._-`,
  'x'.repeat(tagLengthMax),
];
/** The same of repositories. */
export const repositoryNames: readonly string[] = [
  'a',
  '0',
  'library/app',
  `${letters}${digits}`,
  'a.b/a_b/a__b/a-b/a--b/a---b',
  'blobs/uploads/manifests/tags/list',
  'app/app/app',
  'x'.repeat(100),
  `${'deep/'.repeat(40)}end`,
  `${'y'.repeat(100)}/${'z'.repeat(100)}/${'w'.repeat(repositoryLengthMax - 202)}`,
];

export function namesConformance({ make, can }: Conforming): void {
  const { links } = registryLayout;
  const keysUnder = async (backend: Backend, repo?: string): Promise<string[]> => {
    const pages = links.under(repo).map((prefix) => backend.list(prefix, { max: 1000 }, never));
    return (await Promise.all(pages)).flatMap(({ objects }) => objects.map(({ key }) => key));
  };

  test('the names are as the specification allows them', () => {
    for (const tag of tagNames) expect(tagValid(tag), tag).toBe(true);
    for (const repo of repositoryNames) expect(repositoryValid(repo), repo).toBe(true);
  });

  test('a tag is kept whatever characters its name has', { timeout: 60_000 }, async () => {
    await using backend = await make();
    const keys = new Map(tagNames.map((name) => [links.linkKey({ repo: 'library/app', kind: 'tag', name }), name]));
    for (const [key, name] of keys) await backend.put(key, Buffer.from(name), never);
    for (const [key, name] of keys)
      expect(String(await bytesOf(backend.read(key, { start: 0, end: name.length }, never))), name).toBe(name);
    if (!can.list) return;
    const listed = (await keysUnder(backend, 'library/app')).map((key) => links.linkOf(key)?.name);
    expect(listed.toSorted()).toEqual(tagNames.toSorted());
  });

  test('so is a repository', { timeout: 60_000 }, async () => {
    await using backend = await make();
    const keyOf = (repo: string): string => links.linkKey({ repo, kind: 'tag', name: '1' });
    for (const repo of repositoryNames) await backend.put(keyOf(repo), Buffer.from(repo), never);
    for (const repo of repositoryNames)
      expect(await backend.stat(keyOf(repo), never), repo).toMatchObject({ size: repo.length });
    if (!can.list) return;
    const listed = (await keysUnder(backend)).map((key) => links.linkOf(key)?.repo);
    expect(listed.toSorted()).toEqual(repositoryNames.toSorted());
    for (const repo of repositoryNames) expect(await keysUnder(backend, repo), repo).toHaveLength(1);
  });
}
