import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { CondemnReply } from '../core/contracts/index-api.ts';
import type { Digest } from '../core/digest.ts';
import { silentLog } from '../platform/telemetry/log.ts';
import { Condemned } from './condemned.ts';
import { KnownIndex } from './known-index.ts';
import { linkedBy } from './repair/links.ts';

const [mine, other] = ['a'.repeat(32), 'b'.repeat(32)];
const digest = `sha256:${'1'.repeat(64)}` as Digest;
const signal = new AbortController().signal;

let dir: string;
let reply: unknown;
const open = (): Condemned =>
  new Condemned({
    index: { condemn: async () => reply as CondemnReply },
    known: new KnownIndex(dir),
    log: silentLog(),
  });
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-condemned-'));
  reply = { index: mine, condemned: [digest], waiting: 3 };
});
afterEach(() => rm(dir, { recursive: true }));

test('what the index condemned may go; which index that was is remembered', async () => {
  expect(await open().ask([digest], signal)).toEqual({ unneeded: [digest], waiting: 3 });
  expect(await readFile(join(dir, 'index'), 'utf8')).toBe(`${mine}\n`);
  expect(await open().ask([digest], signal)).toEqual({ unneeded: [digest], waiting: 3 });
});

test('by the word of another index nothing goes, until a person agrees', async () => {
  const condemned = open();
  await condemned.ask([digest], signal);
  reply = { index: other, condemned: [digest], waiting: 0 };
  for (const one of [condemned, open()]) {
    await expect(one.ask([digest], signal)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining(`remove ${join(dir, 'index')}`),
    });
  }
  await rm(join(dir, 'index'));
  expect((await condemned.ask([digest], signal)).unneeded).toEqual([digest]);
  expect(await readFile(join(dir, 'index'), 'utf8')).toBe(`${other}\n`);
});

test('where its disk does not take which index that was, nothing goes, and the error names the file', async () => {
  const known = new KnownIndex(join(dir, 'none'));
  await expect(known.standing({ index: mine })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringMatching(/none\/index cannot be used \(ENOENT\)/),
  });
});

test('an index that was restored from a copy of the known one is doubted until it is trusted, then known', async () => {
  const condemned = open();
  await condemned.ask([digest], signal);
  const said = (succeeds: object) => ({ index: other, succeeds, condemned: [digest], waiting: 0 });
  const linked = linkedBy({ unlinked: async () => ({ ...(reply as CondemnReply), unlinked: [digest] }) }, (one) =>
    new KnownIndex(dir).standing(one),
  );
  reply = said({ of: [mine], trusted: false });
  await expect(condemned.ask([digest], signal)).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('shoal reconcile --apply'),
  });
  expect([...(await linked([digest], signal))]).toEqual([digest]);
  expect(await readFile(join(dir, 'index'), 'utf8')).toBe(`${mine}\n`);
  reply = said({ of: ['c'.repeat(32)], trusted: true });
  await expect(condemned.ask([digest], signal)).rejects.toThrow(/if that is right, remove/);
  await expect(linked([digest], signal)).rejects.toThrow(/if that is right, remove/);
  reply = said({ of: ['c'.repeat(32), mine], trusted: true });
  expect((await condemned.ask([digest], signal)).unneeded).toEqual([digest]);
  expect([...(await linked([digest], signal))]).toEqual([]);
  expect(await readFile(join(dir, 'index'), 'utf8')).toBe(`${other}\n`);
  reply = { index: other, condemned: [digest], waiting: 0 };
  expect((await open().ask([digest], signal)).unneeded).toEqual([digest]);
});

test('an origin that is new to a restored index removes nothing either, until that is trusted', async () => {
  reply = { index: mine, succeeds: { of: [other], trusted: false }, condemned: [digest], waiting: 0 };
  await expect(open().ask([digest], signal)).rejects.toThrow(/was restored from a backup/);
});
