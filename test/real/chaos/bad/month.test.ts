/** An origin that comes back after a month, with what was deleted meanwhile still on its disk. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Failed } from '../load/records.ts';
import { eventually, type More, repo, Site } from './site.ts';

const layerBytes = 6_000_000;
/** Each origin has room for three such images, not for five; and then for all. */
const disk = { budget: '24MB' };
const roomy = { disk: { budget: '200MB' } };
const more: More = { origin: { disk }, index: { keepUnlinked: '1s' }, proxy: { push: { required: 1 } } };
const soonMs = 60_000;
/** Whatever an origin does of itself at its start is begun by then. */
const settledMs = 15_000;

test('it resurrects nothing, gets what was pushed without it, and serves what it kept', async () => {
  await using stack = new AsyncDisposableStack();
  const site = await Site.start(stack, { origin: 2, tracker: 1, proxy: 1, index: 1, agent: 1 }, more);
  const [kept, deleted] = [await site.push('kept', 1_000_000), await site.push('deleted', layerBytes)];
  await site.stop('origin-1');
  const proxy = site.registry('proxy-1');
  await proxy.remove('manifest', repo, deleted.manifest);
  for (const { digest } of deleted.blobs) await proxy.remove('blob', repo, digest);
  const gone = deleted.blobs.at(-1)?.digest ?? '';
  // Others are pushed until the origin that is there needs the room.
  const pushed = [await site.push('new', layerBytes)];
  const room = async (): Promise<boolean> => {
    const { image } = await site.tryPush(`new${pushed.length}`, layerBytes);
    if (image !== undefined) pushed.push(image);
    return await site.holds('origin-2', gone);
  };
  expect(await eventually(room, (holds) => !holds, soonMs)).toBe(false);
  for (const name of ['origin-1', 'origin-2']) more[name] = roomy;
  await site.stop('origin-2');
  for (const name of ['origin-2', 'origin-1']) await site.start(name);
  await sleep(settledMs);
  expect(await site.holds('origin-2', gone)).toBe(false);
  for (const at of ['proxy-1', 'agent-1'])
    for (const reference of ['deleted', deleted.manifest])
      await expect(site.registry(at).manifest(repo, reference), `${reference} at ${at}`).rejects.toThrow(/404/);
  const blob = await site
    .registry('proxy-1')
    .blob(repo, gone)
    .catch((error: unknown) => error);
  expect((blob as Failed).failure).toMatchObject({ status: 404, code: 'BLOB_UNKNOWN' });
  const newest = pushed.at(-1)?.blobs.at(-1)?.digest ?? '';
  expect(await eventually(() => site.holds('origin-1', newest), Boolean, soonMs)).toBe(true);
  await site.stop('origin-2');
  for (const { digest } of kept.blobs) expect((await proxy.blob(repo, digest)).digest).toBe(digest);
});
