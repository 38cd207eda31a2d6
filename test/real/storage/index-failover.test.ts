/** The index's store in PostgreSQL that fails over: the primary dies, its standby takes over, and nothing that was acknowledged is lost. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { type PostgresStore, storeSchema } from '../../../platform/tags/config.ts';
import { openPostgresTags } from '../../../platform/tags/postgres/postgres.ts';
import { silentLog } from '../../../platform/telemetry/log.ts';
import { temporary } from '../processes.ts';
import { PostgresPair } from './every/postgres-pair.ts';

const stack = new AsyncDisposableStack();
const soon = { timeout: 60_000, interval: 100 };
const log = silentLog();
let pair: PostgresPair;
beforeAll(async () => {
  pair = stack.use(await PostgresPair.start(await temporary(stack, 'failover')));
});
afterAll(() => stack.disposeAsync());

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;

test('a standby is never read; once it is the primary it is written to, and has all that was acknowledged', async () => {
  // The standby comes first in the list, and is passed over.
  const said = { kind: 'postgres', host: pair.hosts, ...pair.settings };
  const { store } = await openPostgresTags({ settings: storeSchema.parse(said) as PostgresStore, log });
  await using _ = store;
  let acknowledged = 0;
  let tried = 0;
  const write = async (): Promise<void> => {
    const no = ++tried;
    await store.putManifest('a', digest(no), { mediaType: 'm', size: 1, tags: ['x'], blobs: [], manifests: [] }, 0);
    acknowledged = no;
  };
  for (let i = 0; i < 50; i++) {
    await write();
    expect((await store.tag('a', 'x'))?.digest).toBe(digest(i + 1));
  }
  const under = Promise.allSettled(Array.from({ length: 20 }, write));
  await pair.primary.kill();
  await under;
  expect(await store.tag('a', 'x').catch((error: unknown) => error)).toMatchObject({ code: 'UNAVAILABLE' });
  await pair.failOver();
  await expect.poll(async () => await store.tag('a', 'x').catch(() => undefined), soon).toBeDefined();
  const now = Number.parseInt((await store.tag('a', 'x'))?.digest.slice(-8) ?? '', 16);
  expect(now).toBeGreaterThanOrEqual(acknowledged);
  expect(now).toBeLessThanOrEqual(tried);
  // Nobody follows the new one yet; then the lost one does.
  for (const step of [undefined, () => pair.rejoin()]) {
    await step?.();
    await expect.poll(() => write().then(() => 'written', String), soon).toBe('written');
    expect((await store.tag('a', 'x'))?.digest).toBe(digest(tried));
  }
});
