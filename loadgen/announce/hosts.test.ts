/** The bodies that are put together as text are what the tracker's contract says. */

import { expect, test } from 'vitest';
import { TRACKER } from '../../core/contracts/tracker.ts';
import { prng } from '../../core/prng.ts';
import { Hosts } from './hosts.ts';

test('every body is read by the contract, whole', () => {
  const hosts = new Hosts(100_000);
  const read = (text: string) => {
    const said = JSON.parse(text);
    const body = TRACKER.announce.body(said);
    expect(body).toEqual(said);
    return body.entries;
  };
  expect(read(hosts.all(1))).toHaveLength(hosts.leasesPerHost);
  expect(read(hosts.wants(0, 5, 64)).every(({ state, seek }) => state === 'want' && seek === 1)).toBe(true);
  for (const state of ['want', 'have', 'gone'] as const)
    expect(read(hosts.batch(0, 5, { layers: 16, seek: 8, state }))).toHaveLength(16);
});

test('a host pulls images of which it holds nothing, at a thousand leases too', () => {
  const random = prng(1);
  for (const leases of [1_000, 10_000, 100_000]) {
    const hosts = new Hosts(leases);
    for (let no = 0; no < hosts.count; no++) {
      const digests = (text: string) => (JSON.parse(text) as { entries: { digest: string }[] }).entries;
      const held = new Set(digests(hosts.all(no)).map(({ digest }) => digest));
      const first = hosts.image(no, 16, random);
      const image = digests(hosts.batch(no, first, { layers: 16, seek: 8, state: 'want' }));
      expect(image.filter(({ digest }) => held.has(digest))).toEqual([]);
      expect(new Set(image.map(({ digest }) => digest)).size).toBe(16);
    }
  }
});

test('a blob has as many holders at a thousand leases as at a million, each by another host', () => {
  for (const leases of [1_000, 20_000, 200_000]) {
    const hosts = new Hosts(leases);
    const holders = new Map<string, number>();
    for (let no = 0; no < hosts.count; no++) {
      const said = JSON.parse(hosts.all(no)) as { entries: { digest: string }[] };
      expect(new Set(said.entries.map(({ digest }) => digest)).size).toBe(said.entries.length);
      for (const { digest } of said.entries) holders.set(digest, (holders.get(digest) ?? 0) + 1);
    }
    expect(hosts.count * hosts.leasesPerHost).toBe(leases);
    const each = [...holders.values()];
    expect([Math.min(...each) > 35, Math.max(...each) < 65, each.length]).toEqual([true, true, leases / 50]);
  }
});
