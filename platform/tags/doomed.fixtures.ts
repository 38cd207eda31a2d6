/** What every tag store must do about what may be deleted from backends (doomed.ts), run against each that knows it. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ManifestPut } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import { type DoomingTagStore, doomedPasses, lateMs } from './doomed.ts';
import type { AdoptedManifest, OutboxOptions } from './outbox.ts';
import { condemnedMs } from './store.ts';

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const image = (more: Partial<ManifestPut> = {}): ManifestPut => ({
  ...{ mediaType: 'm/x', size: 500, tags: [], blobs: [], manifests: [] },
  ...more,
});
const [one, two, layer, other] = [digest(1), digest(2), digest(100), digest(101)] as const;
const graceMs = 3_600_000;
const leaseMs = 20_000;

type Open = (outbox: OutboxOptions) => Promise<DoomingTagStore>;

let nowMs = 0;
let store: DoomingTagStore;

export function doomedConformance(name: string, open: Open): void {
  describe(`what goes from backends: ${name}`, () => {
    beforeEach(async () => {
      nowMs = 1_000_000_000;
      store = await open({ targetsOf: () => [], nowMs: () => nowMs });
      await store.doomed.deletesFrom(['main']);
    });
    afterEach(() => store[Symbol.asyncDispose]());

    lost();
    claimed();
    diedOf();
    adopted();
  });
}

const claim = (n = 10) => store.doomed.claimDoomed({ nowMs, beforeMs: nowMs - graceMs, untilMs: nowMs + leaseMs, n });
const claims = async (): Promise<Digest[]> => (await claim()).claims.map((one) => one.digest);

async function linkedOnce(...digests: Digest[]): Promise<void> {
  for (const of of digests) {
    await store.linkBlob('a', of, { size: 9 });
    await store.unlinkBlob('a', of, nowMs);
  }
}

/** Claims what is due, and has it gone. */
async function deleted(): Promise<Digest[]> {
  const { claims: all } = await claim();
  expect(await store.doomed.settleDoomed(all, true, nowMs)).toEqual([]);
  return all.map((one) => one.digest);
}

function lost(): void {
  test('what lost its last link a grace ago is claimed, and nothing that was never linked', async () => {
    await store.linkBlob('a', layer, { size: 9 });
    await store.mount('b', layer, 'a');
    await store.unlinkBlob('a', layer, nowMs);
    await store.condemn([other], { nowMs, unlinkedMs: 0 });
    nowMs += graceMs;
    expect(await claims()).toEqual([]);
    await store.unlinkBlob('b', layer, nowMs);
    nowMs += graceMs - 1;
    expect(await store.doomed.doomedCounts(nowMs - graceMs)).toEqual({ doomed: 1, due: 0, claimed: 0 });
    expect(await claims()).toEqual([]);
    nowMs += 1;
    expect(await store.doomed.doomedCounts(nowMs - graceMs)).toEqual({ doomed: 1, due: 1, claimed: 0 });
    expect(await claims()).toEqual([layer]);
    expect(await claims()).toEqual([]);
  });

  test('a manifest that goes dooms itself and what only it referred to', async () => {
    await store.linkBlob('a', layer, { size: 9 });
    await store.putManifest('a', two, image({ subject: other }), nowMs);
    await store.putManifest('a', one, image({ blobs: [layer], manifests: [two], tags: ['1'] }), nowMs);
    await store.deleteManifest('a', one, nowMs);
    await store.deleteManifest('a', two, nowMs);
    nowMs += graceMs;
    expect((await claims()).sort()).toEqual([one, two, other]);
    await store.expire({ beforeMs: nowMs - graceMs, n: 10 });
    expect(await claims()).toEqual([layer]);
  });

  test('a link in the meantime saves it, and so does whoever refers to it', async () => {
    await linkedOnce(layer, other, one, two);
    await store.linkBlob('b', layer, { size: 9 });
    await store.putManifest('a', one, image({ subject: other }), nowMs);
    nowMs += graceMs;
    expect(await claims()).toEqual([two]);
    await store.unlinkBlob('b', layer, nowMs);
    await store.deleteManifest('a', one, nowMs);
    nowMs += graceMs - 1;
    expect(await claims()).toEqual([two]);
  });

  test('where no backend has anything deleted nothing is noted, and what was is saved all the same', async () => {
    await linkedOnce(layer, other);
    await store.doomed.deletesFrom([]);
    await linkedOnce(one);
    await store.linkBlob('a', layer, { size: 9 });
    await store.doomed.deletesFrom(['main', 'second']);
    nowMs += graceMs;
    expect(await claims()).toEqual([other]);
  });

  test('backends that others filled are remembered', async () => {
    expect(await store.doomed.broughtBackends()).toEqual([]);
    for (const name of ['kraken', 'main', 'kraken']) await store.doomed.broughtFrom(name);
    await store.doomed.deletesFrom([]);
    expect(await store.doomed.broughtBackends()).toEqual(['kraken', 'main']);
  });
}

function claimed(): void {
  test('it goes twice, a grace apart, and is then forgotten', async () => {
    await linkedOnce(layer);
    for (let pass = 0; pass < doomedPasses; pass++) {
      expect(await deleted()).toEqual([]);
      nowMs += graceMs;
      expect(await deleted()).toEqual([layer]);
    }
    nowMs += graceMs;
    expect(await deleted()).toEqual([]);
    expect(await store.doomed.doomedCounts(nowMs)).toEqual({ doomed: 0, due: 0, claimed: 0 });
    expect(await store.adoptBlob('a', layer, 9)).toBe('kept');
    nowMs += condemnedMs + graceMs;
    expect(await deleted()).toEqual([]);
    expect(await store.adoptBlob('a', layer, 9)).toBe('adopted');
  });

  test('it goes once more after an origin that still held it was told to remove it', async () => {
    await linkedOnce(layer);
    for (let pass = 0; pass < doomedPasses; pass++) {
      nowMs += graceMs;
      expect(await deleted()).toEqual([layer]);
    }
    nowMs += graceMs;
    expect((await store.condemn([layer], { nowMs, unlinkedMs: graceMs })).condemned).toEqual([layer]);
    expect(await deleted()).toEqual([]);
    nowMs += graceMs;
    expect(await deleted()).toEqual([layer]);
    nowMs += graceMs;
    expect(await deleted()).toEqual([]);
  });

  test('what could not be deleted is due again at once', async () => {
    await linkedOnce(layer);
    nowMs += graceMs;
    const { claims: all } = await claim();
    expect(await store.doomed.settleDoomed(all, false, nowMs)).toEqual([]);
    expect(await deleted()).toEqual([layer]);
  });

  test('while it is claimed nothing links it, and afterwards only who proved it after that', async () => {
    await linkedOnce(layer, one);
    nowMs += graceMs;
    const { claims: all } = await claim();
    const refused = (await store.linkBlob('a', layer, { size: 9 })) as number;
    expect(refused).toBeTypeOf('number');
    // As it is told each time, whoever waits for it knows that it is being deleted (clients/copies.ts).
    expect(await store.linkBlob('a', layer, { size: 9, proof: refused })).toBe(refused);
    const put = await store.putManifest('a', one, image({ proof: refused }), nowMs);
    expect(put).toEqual({ missing: [], unproved: refused });
    // An origin that asks meanwhile changes nothing of it.
    await store.condemn([layer], { nowMs, unlinkedMs: graceMs });
    expect(await store.linkBlob('a', layer, { size: 9, proof: refused })).toBe(refused);
    await store.doomed.settleDoomed(all, true, nowMs);
    const again = (await store.linkBlob('a', layer, { size: 9, proof: refused })) as number;
    expect(again).toBeGreaterThan(refused);
    expect(await store.linkBlob('a', layer, { size: 9, proof: again })).toBeUndefined();
    expect(await store.putManifest('a', one, image({ proof: again }), nowMs)).not.toHaveProperty('unproved');
    nowMs += 9 * graceMs;
    expect(await claims()).toEqual([]);
  });

  test('whoever only refers to it meanwhile is told when it is settled, and again until nothing can come late', async () => {
    await linkedOnce(layer);
    nowMs += graceMs;
    const { claims: all } = await claim();
    await store.putManifest('a', one, image({ subject: layer }), nowMs);
    expect(await store.doomed.settleDoomed(all, true, nowMs)).toEqual([layer]);
    await store.doomed.savedDoomed([layer], nowMs);
    nowMs += leaseMs;
    expect(await claim()).toEqual({ claims: [], again: [layer], more: false });
    nowMs += lateMs;
    await store.doomed.savedDoomed([layer], nowMs);
    expect(await claim()).toEqual({ claims: [], again: [], more: false });
  });

  test('so many at most', async () => {
    await linkedOnce(layer, other, one);
    nowMs += graceMs;
    const first = await claim(2);
    expect([first.claims.length, first.more]).toEqual([2, true]);
    const second = await claim(2);
    expect([second.claims.length, second.more]).toEqual([1, false]);
  });
}

function diedOf(): void {
  test('what somebody claimed who died is claimed by others once that is over', async () => {
    await linkedOnce(layer);
    nowMs += graceMs;
    await claim();
    nowMs += leaseMs - 1;
    expect(await claims()).toEqual([]);
    nowMs += 1;
    expect(await deleted()).toEqual([layer]);
    expect(await store.doomed.doomedCounts(nowMs)).toMatchObject({ claimed: 0 });
  });

  test('once it is over it is linked with a proof after that, and looked for again for as long as a request may be late', async () => {
    await linkedOnce(layer);
    nowMs += graceMs;
    const { claims: all } = await claim();
    const during = (await store.linkBlob('a', layer, { size: 9 })) as number;
    nowMs += leaseMs;
    const after = (await store.linkBlob('a', layer, { size: 9, proof: during })) as number;
    expect(after).toBeGreaterThan(during);
    expect(await store.linkBlob('a', layer, { size: 9, proof: after })).toBeUndefined();
    expect(await claim()).toMatchObject({ claims: [], again: [layer] });
    // Who hung, and goes on, is told.
    expect(await store.doomed.settleDoomed(all, true, nowMs)).toEqual([layer]);
    await store.doomed.savedDoomed([layer], nowMs);
    expect(await claim()).toMatchObject({ claims: [], again: [layer] });
    nowMs += lateMs;
    expect(await claim()).toMatchObject({ claims: [], again: [layer] });
    await store.doomed.savedDoomed([layer], nowMs);
    expect(await claim()).toMatchObject({ claims: [], again: [] });
  });

  test('linked and lost again it has its grace', async () => {
    await linkedOnce(layer);
    nowMs += graceMs;
    await claim();
    nowMs += leaseMs;
    let proof: number | undefined;
    for (let turn = 0; turn < 3; turn++) proof = (await store.linkBlob('a', layer, { size: 9, proof })) ?? proof;
    expect(await store.blob('a', layer)).toBeDefined();
    await store.unlinkBlob('a', layer, nowMs);
    nowMs += graceMs - 1;
    expect(await claim()).toMatchObject({ claims: [], again: [] });
    nowMs += 1;
    expect(await claims()).toEqual([layer]);
  });

  test('who settles what others have claimed since changes nothing', async () => {
    await linkedOnce(layer);
    nowMs += graceMs;
    const { claims: first } = await claim();
    nowMs += leaseMs;
    const { claims: second } = await claim();
    expect(await store.doomed.settleDoomed(first, true, nowMs)).toEqual([]);
    expect(await store.doomed.doomedCounts(nowMs)).toMatchObject({ claimed: 1 });
    const refused = (await store.linkBlob('a', layer, { size: 9 })) as number;
    expect(await store.linkBlob('a', layer, { size: 9, proof: refused })).toBe(refused);
    expect(await store.doomed.settleDoomed(second, true, nowMs)).toEqual([]);
    expect(await store.doomed.doomedCounts(nowMs)).toMatchObject({ claimed: 0 });
  });
}

function adopted(): void {
  test('what may just be going from a backend, or went, is not adopted from there', async () => {
    const manifest: AdoptedManifest = {
      ...{ mediaType: 'm/x', size: 5, manifests: [] },
      blobs: [{ digest: layer, size: 9 }],
    };
    await linkedOnce(layer);
    nowMs += graceMs;
    const { claims: all } = await claim();
    expect(await store.adoptBlob('a', layer, 9)).toBe('kept');
    expect(await store.adoptManifest('a', one, manifest)).toBe('kept');
    expect(await store.manifest('a', one)).toBeUndefined();
    await store.doomed.settleDoomed(all, true, nowMs);
    expect(await store.adoptBlob('a', layer, 9)).toBe('kept');
    expect(await store.adoptManifest('a', one, manifest)).toBe('kept');
  });

  test('what only waits is, and is thereby saved', async () => {
    await linkedOnce(layer);
    nowMs += graceMs;
    expect(await store.adoptBlob('a', layer, 9)).toBe('adopted');
    expect(await claims()).toEqual([]);
  });
}
