/** Hand-over with an in-memory cluster: owners are objects that hold blobs after a number of asks. */

import { afterEach, expect, test, vi } from 'vitest';
import type { FetchRequest } from '../core/contracts/origin.ts';
import type { Digest } from '../core/digest.ts';
import { Rendezvous } from '../core/rendezvous/rendezvous.ts';
import { CallContext } from '../platform/clients/context.ts';
import type { BlobEntry } from '../platform/store/store.ts';
import { silentLog } from '../platform/telemetry/log.ts';
import { asksMax, Handover, type HandoverOptions } from './handover.ts';

const urls = ['http://a', 'http://b', 'http://c', 'http://d'];
const owners = Rendezvous.of(urls);
const ringOf = (now: () => Rendezvous): HandoverOptions['origins'] => ({
  owners: (key, count) =>
    now()
      .pick(key, count)
      .map((id) => ({ id })),
  owns: (key, id, count) => now().owns(key, id, count),
});
const peer = { node: '0'.repeat(32), host: 'a', port: 1, role: 'origin', zone: '' } as const;
const meta = { length: 5, pieceLength: 262_144, root: '0'.repeat(64) };
const digestNo = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const entryOf = (digest: Digest): BlobEntry => ({ digest, meta, complete: true }) as BlobEntry;

afterEach(() => vi.useRealTimers());

function cluster(asksNeeded: number, self = 'http://a', origins: HandoverOptions['origins'] = ringOf(() => owners)) {
  const asked: string[] = [];
  const calls: CallContext[] = [];
  const announced = new Set<Digest>();
  const removed = new Set<Digest>();
  const damaged = new Set<Digest>();
  const mended = new Set<Digest>();
  const counts = new Map<string, number>();
  let running = 0;
  let runningMax = 0;
  const handover = new Handover({
    origins,
    self,
    replicas: () => 2,
    peer,
    find: (digest) =>
      removed.has(digest) ? undefined : ({ ...entryOf(digest), complete: !damaged.has(digest) } as BlobEntry),
    mend: (entry) => void mended.add(entry.digest),
    tracking: { set: (digest) => void announced.add(digest), unset: (digest) => void announced.delete(digest) },
    log: silentLog(),
    ask: async (url, digest, request, ctx) => {
      calls.push(ctx);
      runningMax = Math.max(runningMax, ++running);
      await Promise.resolve();
      running--;
      expect(request).toEqual({ from: peer, meta });
      const key = `${url} ${digest}`;
      asked.push(key);
      const count = (counts.get(key) ?? 0) + 1;
      counts.set(key, count);
      if (count < asksNeeded && count % 2 === 1) throw new Error('connection refused');
      return count >= asksNeeded;
    },
  });
  return { handover, asked, calls, announced, removed, damaged, mended, runningMax: () => runningMax };
}

const ownedBy = (self: string, yes: boolean): Digest => {
  for (let no = 1; ; no++) if (owners.owns(digestNo(no), self, 2) === yes) return digestNo(no);
};

test('a blob that this origin does not own is announced until every owner holds it', async () => {
  vi.useFakeTimers();
  const { handover, asked, announced } = cluster(4);
  const digest = ownedBy('http://a', false);
  handover.offer(entryOf(digest));
  expect([...announced]).toEqual([digest]);
  expect(handover.waiting).toBe(1);
  await vi.advanceTimersByTimeAsync(120_000);
  expect(handover.waiting).toBe(0);
  expect(announced.size).toBe(0);
  for (const owner of owners.pick(digest, 2))
    expect(asked.filter((key) => key === `${owner} ${digest}`)).toHaveLength(4);
});

test('an owner offers it to the other owners, never to itself, and announces nothing', async () => {
  const { handover, asked, announced } = cluster(1);
  const digest = ownedBy('http://a', true);
  handover.offer(entryOf(digest));
  expect(announced.size).toBe(0);
  await expect.poll(() => handover.waiting).toBe(0);
  expect(asked).toEqual(
    owners
      .pick(digest, 2)
      .filter((url) => url !== 'http://a')
      .map((url) => `${url} ${digest}`),
  );
});

test('a removed blob is no longer offered', async () => {
  vi.useFakeTimers();
  const { handover, asked, announced, removed } = cluster(1000);
  const digest = ownedBy('http://a', false);
  handover.offer(entryOf(digest));
  await vi.advanceTimersByTimeAsync(1000);
  removed.add(digest);
  handover.forget(digest);
  expect(announced.size).toBe(0);
  await vi.advanceTimersByTimeAsync(60_000);
  const { length } = asked;
  await vi.advanceTimersByTimeAsync(600_000);
  expect(asked).toHaveLength(length);
});

test('however many blobs wait, calls are few at a time', async () => {
  const { handover, runningMax } = cluster(1);
  for (let no = 0; no < 500; no++) handover.offer(entryOf(digestNo(no)));
  await expect.poll(() => handover.waiting).toBe(0);
  expect(runningMax()).toBe(asksMax);
});

test('a cluster of one hands nothing over', () => {
  const handover = new Handover({
    origins: ringOf(() => Rendezvous.of(['http://a'])),
    self: 'http://a',
    replicas: () => 2,
    peer,
    find: entryOf,
    mend: () => expect.unreachable(),
    tracking: { set: () => expect.unreachable(), unset: () => expect.unreachable() },
    log: silentLog(),
    ask: () => expect.unreachable(),
  });
  handover.offer(entryOf(digestNo(1)));
  expect(handover.waiting).toBe(0);
});

test('a blob that was damaged is mended, stays announced, and is offered once it is whole (fuzz seeds 1055 and 20012)', async () => {
  vi.useFakeTimers();
  const { handover, asked, announced, damaged, mended } = cluster(1);
  const digest = ownedBy('http://a', false);
  damaged.add(digest);
  handover.offer(entryOf(digest));
  await vi.advanceTimersByTimeAsync(5_000);
  expect(asked).toEqual([]);
  expect(handover.waiting).toBe(1);
  expect([...announced]).toEqual([digest]);
  expect([...mended]).toEqual([digest]);
  damaged.clear();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked.length).toBe(2);
  expect(handover.waiting).toBe(0);
  expect([...announced]).toEqual([]);
});

test('when the list changes, what is here is offered to its new owners, and to none that has left', async () => {
  vi.useFakeTimers();
  let now = owners;
  const { handover, asked } = cluster(
    4,
    'http://a',
    ringOf(() => now),
  );
  const digest = ownedBy('http://a', false);
  handover.offer(entryOf(digest));
  await vi.advanceTimersByTimeAsync(10);
  const before = owners.pick(digest, 2);
  expect(asked.map((key) => key.split(' ')[0]).toSorted()).toEqual(before.toSorted());
  now = Rendezvous.of([...urls.filter((url) => url !== before[0]), 'http://new']);
  asked.length = 0;
  handover.relist();
  await vi.advanceTimersByTimeAsync(60_000);
  const left = new Set(asked.map((key) => key.split(' ')[0]));
  expect([...left].toSorted()).toEqual(
    now
      .pick(digest, 2)
      .filter((url) => url !== 'http://a')
      .toSorted(),
  );
  expect(handover.waiting).toBe(0);
});

test('a blob is handed over on behalf of the call that brought it, which may be over by then', async () => {
  vi.useFakeTimers();
  const { handover, calls } = cluster(4);
  const leaving = new AbortController();
  const headers = { 'x-request-id': 'pushed', 'x-shoal-deadline': '1000', 'x-shoal-client': 'me' };
  handover.offer(
    entryOf(ownedBy('http://a', false)),
    CallContext.received(headers, { signal: leaving.signal, believed: true }),
  );
  leaving.abort();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(calls.length).toBe(8);
  for (const { requestId, caller, signal, leftMs } of calls)
    expect([requestId, caller?.name, signal.aborted, leftMs]).toEqual(['pushed', 'me', false, Infinity]);
});

test('what a backend is still owed goes along with the blob', async () => {
  const requests: FetchRequest[] = [];
  const digest = ownedBy('http://a', false);
  const handover = new Handover({
    ...{
      origins: ringOf(() => owners),
      self: 'http://a',
      replicas: () => 2,
      peer,
      find: entryOf,
      mend: () => undefined,
    },
    ...{ tracking: { set: () => undefined, unset: () => undefined }, log: silentLog() },
    owed: async (of) => (of === digest ? ['team/app'] : []),
    ask: async (_url, _digest, request) => {
      requests.push(request);
      return true;
    },
  });
  handover.offer(entryOf(digest));
  await expect.poll(() => handover.waiting).toBe(0);
  expect(requests.map(({ owed }) => owed)).toEqual([['team/app'], ['team/app']]);
  const other = digestNo(digest === digestNo(1) ? 2 : 1);
  handover.offer(entryOf(other));
  await expect.poll(() => handover.waiting).toBe(0);
  expect(requests.at(-1)).toEqual({ from: peer, meta });
});
