/** The bodies that are put together as text are what the tracker's contract says. */

import { expect, test } from 'vitest';
import { TRACKER } from '../../core/contracts/tracker.ts';
import { prng } from '../../core/prng.ts';
import { Hosts, leasesPerHost } from './hosts.ts';

test('every body is read by the contract, whole', () => {
  const hosts = new Hosts(2 * leasesPerHost);
  const read = (text: string) => {
    const said = JSON.parse(text);
    const body = TRACKER.announce.body(said);
    expect(body).toEqual(said);
    return body.entries;
  };
  expect(read(hosts.all(1))).toHaveLength(leasesPerHost);
  expect(read(hosts.wants(0, 5, 64)).every(({ state, seek }) => state === 'want' && seek === 1)).toBe(true);
  for (const state of ['want', 'have'] as const)
    expect(read(hosts.batch(0, { layers: 16, seek: 8, state, random: prng(1) }))).toHaveLength(16);
});
