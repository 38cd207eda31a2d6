import { describe, expect, test } from 'vitest';
import { registryKeys } from '../../platform/backends/registry/layout.ts';
import { finalAttemptsMax } from '../../platform/queue/queue.ts';
import { failingMs } from './confirmations.ts';
import { type Site, Sites } from './sites.fixtures.ts';
import { handoverMs, ownerPatienceMs } from './turns.ts';

const never = new AbortController().signal;
const all = async (sites: Sites): Promise<number[]> => Promise.all(sites.sites.map((site) => site.rows()));
const site = (sites: Sites, no: number): Site => sites.sites[no] as Site;

describe('a blob that was pushed', () => {
  test('is written once, by its first owner, and every origin that promised it drops its row once it is confirmed', async () => {
    await using sites = new Sites({ count: 3 });
    const blobs = Array.from({ length: 20 }, () => sites.blob([0, 1, 2]));
    for (const blob of blobs) await Promise.all([site(sites, 0).take(blob), site(sites, 1).take(blob)]);
    await sites.pass(60_000);
    for (const { digest } of blobs) {
      expect(await sites.has(digest)).toBe(true);
      expect(sites.backend.count('write', digest.slice(7))).toBe(1);
    }
    expect(await all(sites)).toEqual([0, 0, 0]);
  });

  test('is written by who holds it, where the owners do not get it in time', async () => {
    await using sites = new Sites({ count: 3, order: [2, 1, 0] });
    const blob = sites.blob([0, 1]);
    await Promise.all([site(sites, 0).take(blob), site(sites, 1).take(blob)]);
    await sites.pass(handoverMs / 2);
    expect(await sites.has(blob.digest)).toBe(false);
    await sites.pass(handoverMs + 60_000);
    expect(sites.backend.count('write')).toBe(1);
    expect(await all(sites)).toEqual([0, 0, 0]);
  });

  test('is written by one that drains, which owns nothing any more, where no owner takes it over', async () => {
    await using sites = new Sites({ count: 3, order: [0, 1] });
    const blob = sites.blob([2]);
    await site(sites, 2).take(blob);
    await sites.pass(handoverMs / 2);
    expect(await sites.has(blob.digest)).toBe(false);
    await sites.pass(handoverMs + 60_000);
    expect(await sites.has(blob.digest)).toBe(true);
    expect(await all(sites)).toEqual([0, 0, 0]);
  });

  test.each([
    [false, 0],
    [true, 1],
  ])('while somebody has not said who it is it waits, unless that one is silent (%s)', async (silent, writes) => {
    await using sites = new Sites({ count: 2, order: [0, 1] });
    sites.strangers = [{ pulse: { silent } }];
    await site(sites, 0).take(sites.blob([0, 1]));
    await sites.pass(handoverMs / 2);
    expect(sites.backend.count('write')).toBe(writes);
    await sites.pass(handoverMs + 30_000);
    expect(sites.backend.count('write')).toBe(1);
  });

  test('an owner that is down, or gone for good, is passed over', async () => {
    await using sites = new Sites({ count: 3, order: [2, 1, 0] });
    const blob = sites.blob([0, 2]);
    site(sites, 2).up = false;
    await site(sites, 0).take(blob);
    await sites.pass(60_000);
    expect(await sites.has(blob.digest)).toBe(true);
    expect(await site(sites, 0).rows()).toBe(0);
  });

  test('an owner that took it over and then hangs is passed over once it has not moved for long', async () => {
    await using sites = new Sites({ count: 2, order: [1, 0] });
    const blob = sites.blob([0, 1]);
    sites.backend.fail({ on: 'stat', what: 'hang' });
    await site(sites, 0).take(blob);
    await sites.pass(ownerPatienceMs / 2);
    expect(await sites.has(blob.digest)).toBe(false);
    await sites.pass(2 * ownerPatienceMs);
    expect(await sites.has(blob.digest)).toBe(true);
    expect(await site(sites, 0).rows()).toBe(0);
  });

  test('rows are dropped by no word but the backend’s: where the owner’s writing was lost, who asked it writes', async () => {
    await using sites = new Sites({ count: 2, order: [1, 0] });
    const blob = sites.blob([0, 1]);
    sites.backend.fail({ on: 'write', what: 'lost', times: 1 });
    await site(sites, 0).take(blob);
    await sites.pass(120_000);
    expect(await sites.has(blob.digest)).toBe(true);
    expect(await all(sites)).toEqual([0, 0]);
  });

  test('what the backend has already is not written again', async () => {
    await using sites = new Sites({ count: 1 });
    const blob = sites.blob([0]);
    await site(sites, 0).take(blob);
    await sites.pass(1_000);
    await site(sites, 0).take(blob);
    await sites.pass(1_000);
    expect(sites.backend.count('write')).toBe(1);
    expect(await all(sites)).toEqual([0]);
  });

  test('another length, or another digest, at its key is replaced', async () => {
    await using sites = new Sites({ count: 1 });
    const [blob, wrong] = [sites.blob([0]), sites.blob([])];
    const key = sites.backends().all[0]?.blobKey(blob.digest) as string;
    const source = { size: 10_000, digest: wrong.digest, read: async function* () {} };
    source.read = async function* () {
      yield wrong.bytes;
    } as typeof source.read;
    await sites.backend.write(key, source, new AbortController().signal);
    await site(sites, 0).take(blob);
    await sites.pass(1_000);
    expect(await sites.has(blob.digest)).toBe(true);
  });

  test('where the queue has no room it is not acknowledged', async () => {
    await using sites = new Sites({ count: 1, rowsMax: 2 });
    sites.backend.fail({ on: 'any', what: 'unavailable', times: 1e9 });
    for (let no = 0; no < 2; no++) await site(sites, 0).take(sites.blob([0]));
    await expect(site(sites, 0).take(sites.blob([0]))).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    expect(await site(sites, 0).rows()).toBe(2);
  });

  test('through two repositories with backends of their own it comes to both', async () => {
    await using sites = new Sites({ count: 1 });
    const blob = sites.blob([0]);
    await site(sites, 0).take(blob, 'team/app');
    await site(sites, 0).take(blob, 'other/app');
    await sites.pass(1_000);
    expect([await sites.has(blob.digest), await sites.has(blob.digest, sites.other)]).toEqual([true, true]);
  });

  test('where a backend tells repositories apart it comes to each, once, whoever of the origins owes it', async () => {
    await using sites = new Sites({ count: 2, order: [0, 1] });
    const blob = sites.blob([0, 1]);
    for (const no of [0, 1]) await site(sites, no).take(blob, 'reg/one');
    await site(sites, 0).take(blob, 'reg/two');
    await site(sites, 1).take(blob, 'team/app');
    expect(await all(sites)).toEqual([2, 2]);
    await sites.pass(60_000);
    expect(await all(sites)).toEqual([0, 0]);
    for (const repo of ['reg/one', 'reg/two'])
      expect(await sites.registry.stat(registryKeys.blobKey(blob.digest, repo), never)).toMatchObject({ size: 10_000 });
    expect(sites.registry.count('write')).toBe(2);
  });
});

describe('a backend', () => {
  test('that is down holds up nothing but its own write-backs, and gets all of them once it is back', async () => {
    await using sites = new Sites({ count: 2 });
    sites.backend.fail({ on: 'any', what: 'unavailable', times: 1e9 });
    const blobs = Array.from({ length: 50 }, () => sites.blob([0, 1]));
    for (const blob of blobs) await Promise.all([site(sites, 0).take(blob), site(sites, 1).take(blob)]);
    const elsewhere = sites.blob([0, 1]);
    await site(sites, 0).take(elsewhere, 'other/app');
    await sites.pass(600_000);
    expect(await sites.has(elsewhere.digest, sites.other)).toBe(true);
    // One at a time, and seldom: a hundred rows are no hundred calls a second.
    expect(sites.backend.count('stat')).toBeLessThan(100);
    sites.backend.heal();
    await sites.pass(600_000);
    for (const { digest } of blobs) expect(await sites.has(digest)).toBe(true);
    expect(await all(sites)).toEqual([0, 0]);
  });

  test('that hangs at each step loses nothing', async () => {
    await using sites = new Sites({ count: 1 });
    const blobs = Array.from({ length: 5 }, () => sites.blob([0]));
    sites.backend.fail({ on: 'write', what: 'hang', at: 9_500, times: 3 }, { on: 'stat', what: 'hang', times: 2 });
    for (const blob of blobs) await site(sites, 0).take(blob);
    await sites.pass(60_000);
    expect(await site(sites, 0).rows()).toBeGreaterThan(0);
    sites.backend.heal();
    await sites.pass(600_000);
    for (const { digest } of blobs) expect(await sites.has(digest)).toBe(true);
    expect(await all(sites)).toEqual([0]);
  });

  test('that refuses a blob for good has it dead, counted and kept, until a person retries it', async () => {
    await using sites = new Sites({ count: 1 });
    const blob = sites.blob([0]);
    sites.backend.fail({ on: 'write', what: 'refused', times: finalAttemptsMax });
    await site(sites, 0).take(blob);
    await sites.pass(3_600_000);
    const { queue, writeBack, metrics } = site(sites, 0);
    expect((await queue.list({ dead: true }, { max: 9 })).rows).toMatchObject([
      { about: blob.digest, cause: 'refused' },
    ]);
    expect(await metrics.text()).toContain('shoal_write_back_failures_total{backend="main",cause="refused"} 8');
    await expect(writeBack.mayRemove(blob.digest)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await queue.retry();
    writeBack.begin();
    await sites.pass(1_000);
    expect(await sites.has(blob.digest)).toBe(true);
    await expect(writeBack.mayRemove(blob.digest)).resolves.toBeUndefined();
  });

  test.each(['applied', 'unavailable', 'throttled', 'credentials', 'denied', 'full', 'damaged', 'lost'] as const)(
    'whose writing ends as `%s` gets the blob in the end',
    async (what) => {
      await using sites = new Sites({ count: 1 });
      const blob = sites.blob([0]);
      sites.backend.fail({ on: 'write', what, at: 3_000, times: 3 });
      await site(sites, 0).take(blob);
      await sites.pass(600_000);
      expect(await sites.has(blob.digest)).toBe(true);
      expect(await all(sites)).toEqual([0]);
    },
  );
});

describe('a blob that is lost here', () => {
  test('is written by another origin that holds it', async () => {
    await using sites = new Sites({ count: 3, order: [0, 1, 2] });
    const blob = sites.blob([0, 2]);
    sites.backend.fail({ on: 'any', what: 'unavailable', times: 1 });
    await site(sites, 0).take(blob);
    site(sites, 0).blobs.delete(blob.digest);
    await sites.pass(120_000);
    expect(await sites.has(blob.digest)).toBe(true);
    expect(await all(sites)).toEqual([0, 0, 0]);
  });

  test('by everybody, is dead and named; by who cannot be asked, it is waited for', async () => {
    await using sites = new Sites({ count: 2 });
    const [lost, unsure] = [sites.blob([]), sites.blob([1])];
    await site(sites, 0).take(lost);
    await sites.pass(3_600_000);
    expect((await site(sites, 0).queue.list({ dead: true }, { max: 9 })).rows).toMatchObject([
      { about: lost.digest, cause: 'gone', message: expect.stringContaining('no origin holds it') },
    ]);
    site(sites, 1).up = false;
    await site(sites, 0).take(unsure);
    await sites.pass(3_600_000);
    expect((await site(sites, 0).queue.list({ about: unsure.digest }, { max: 9 })).rows).toMatchObject([
      { dead: false, cause: 'gone' },
    ]);
    site(sites, 1).up = true;
    await sites.pass(600_000);
    expect(await sites.has(unsure.digest)).toBe(true);
  });
});

describe('`durability: backend`', () => {
  test('a push is acknowledged once the backend has confirmed it', async () => {
    await using sites = new Sites({ count: 2, durability: 'backend', order: [1, 0] });
    const blob = sites.blob([0, 1]);
    sites.backend.fail({ on: 'write', what: 'hang' });
    let acknowledged = 0;
    const pushed = [0, 1].map((no) =>
      site(sites, no)
        .take(blob)
        .then(() => (acknowledged += 1)),
    );
    await sites.pass(5_000);
    expect(acknowledged).toBe(0);
    sites.backend.heal();
    await sites.pass(5_000);
    expect([acknowledged, await sites.has(blob.digest)]).toEqual([2, true]);
    await Promise.all(pushed);
  });

  test('a backend that is down makes it a 503 that says so; the row stays, and the blob comes there', async () => {
    await using sites = new Sites({ count: 1, durability: 'backend' });
    const blob = sites.blob([0]);
    sites.backend.fail({ on: 'any', what: 'credentials', times: 1e9 });
    const refused = expect(site(sites, 0).take(blob)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(/backend main has not confirmed .*credentials/),
    });
    await sites.pass(2 * failingMs);
    await refused;
    expect(await site(sites, 0).rows()).toBe(1);
    sites.backend.heal();
    await sites.pass(120_000);
    expect(await sites.has(blob.digest)).toBe(true);
  });

  test('so is one that another origin was to write', async () => {
    await using sites = new Sites({ count: 2, durability: 'backend', order: [1, 0] });
    sites.backend.fail({ on: 'any', what: 'unavailable', times: 1e9 });
    const refused = expect(site(sites, 0).take(sites.blob([0, 1]))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await sites.pass(2 * failingMs);
    await refused;
  });

  test('an origin that stops finishes what it writes, and refuses who waits for what it has not begun', async () => {
    await using sites = new Sites({ count: 1, durability: 'backend' });
    const blob = sites.blob([0]);
    sites.backend.fail({ on: 'stat', what: 'hang' });
    const written = site(sites, 0).take(blob);
    await sites.pass(500);
    const rested = site(sites, 0).writeBack.rest();
    const late = expect(site(sites, 0).take(sites.blob([0]))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    sites.backend.heal();
    await sites.pass(1_000);
    await Promise.all([rested, written, late]);
    expect(await site(sites, 0).rows()).toBe(1);
  });
});
