/** Questions that join no swarm, over real sockets: trackers that are dead or hang, and what that costs. */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { announceTiming } from '../../core/announce/timing.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import { byDigest } from '../../core/digest.ts';
import { testDigest, testMeta, testPeer } from '../../core/handout/fixtures.ts';
import { httpMembers } from '../members/http.ts';
import { fixedList, ToldList } from '../members/list.ts';
import { realClock } from '../net/clock.ts';
import { CallContext } from './context.ts';
import { OriginFinder } from './finder.ts';
import { TrackerSession } from './tracker.ts';

const digest = testDigest(1);
const ctx = CallContext.begin();
const stack: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of stack.splice(0).reverse()) await end();
});

type Tracker = { server: Server; url: string; asked: string[]; does: 'answers' | 'hangs' | 'knows nothing' };

async function tracker(): Promise<Tracker> {
  const server = createServer((request, response) => {
    if (request.url !== '/health') one.asked.push(`${request.method} ${request.url}`);
    if (one.does === 'hangs') return;
    const json = { 'content-type': 'application/json' };
    const errors = [{ code: 'BLOB_UNKNOWN', message: 'no' }];
    if (one.does === 'knows nothing') response.writeHead(404, json).end(JSON.stringify({ errors }));
    else if (request.method === 'GET') response.writeHead(200, json).end(JSON.stringify({ digest, meta: testMeta(5) }));
    else
      response
        .writeHead(200, json)
        .end(JSON.stringify({ leaseMs: 30_000, intervalMs: 10_000, answers: [], origins: ['http://o1:1'] }));
  });
  const one: Tracker = { server, url: '', asked: [], does: 'answers' };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  one.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  stack.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return one;
}

/** A session, and one origin that has the blob or has not. */
function sessionOf(urls: string[] | ToldList, o: { has?: boolean; origins?: string[] } = {}) {
  const asked: number[] = [];
  const lines: string[] = [];
  const told: string[][] = [];
  const info = async () => {
    asked.push(1);
    return o.has === false ? undefined : { digest, meta: testMeta(5), peer: testPeer(9, 'origin') };
  };
  const client = { info, located: info };
  const origins = { urls: o.origins ?? ['http://o1:1'], order: () => [client] };
  const finder = new OriginFinder({ clock: realClock, origins });
  const line = (_: object, text: string): number => lines.push(text);
  const log = { warn: line, info: line, debug: () => 0 };
  const timing = { ...announceTiming, down: { delayMs: 10, delayMsMax: 20 } };
  const trackers = httpMembers(Array.isArray(urls) ? fixedList(urls) : urls);
  stack.push(() => trackers[Symbol.asyncDispose]());
  const session = new TrackerSession({ trackers, log, finder, timing, onOrigins: (urls) => told.push([...urls]) });
  stack.push(() => session.leave());
  return { session, asked, lines, told };
}

const dead = 'http://127.0.0.1:9';

test('a tracker that answers is asked, the origins are not', async () => {
  const { url } = await tracker();
  const { session, asked } = sessionOf([url]);
  expect(await session.locate(byDigest(digest), ctx)).toMatchObject({ meta: testMeta(5) });
  expect(asked).toEqual([]);
});

test('a tracker that says no is believed, and one that cannot say is not', async () => {
  const one = await tracker();
  one.does = 'knows nothing';
  const { session, asked } = sessionOf([one.url]);
  expect(await session.locate(byDigest(digest), ctx)).toBeUndefined();
  expect(asked).toEqual([]);
});

test('a dead tracker: the origins answer; a hung one: the same, and the next question does not wait for it', async () => {
  const one = sessionOf([dead]);
  expect(await one.session.locate(byDigest(digest), ctx)).toMatchObject({ meta: testMeta(5) });
  const hung = await tracker();
  hung.does = 'hangs';
  const two = sessionOf([hung.url]);
  for (let times = 0; times < 4; times++)
    expect(await two.session.locate(byDigest(digest), ctx)).toMatchObject({ meta: testMeta(5) });
  // Four that each waited for the tracker would have put four questions to it.
  expect([hung.asked.length, two.asked.length]).toEqual([1, 4]);
});

test('no is said where every origin says no; else it is UNAVAILABLE', async () => {
  expect(await sessionOf([dead], { has: false }).session.locate(byDigest(digest), ctx)).toBeUndefined();
  const without = sessionOf([dead], { origins: [] });
  const error = await without.session.locate(byDigest(digest), ctx).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({ code: 'UNAVAILABLE' });
});

test('a session that may do without trackers speaks to each once, and hears of the origins', async () => {
  const one = await tracker();
  const { session, told } = sessionOf([one.url]);
  session.join(testPeer(1), () => undefined);
  while (told.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  expect([told, one.asked]).toEqual([[['http://o1:1']], ['POST /v1/announce']]);
});

test('a tracker that fails a hundred times costs two lines in the log', async () => {
  const one = await tracker();
  one.does = 'knows nothing';
  const { session, lines, told } = sessionOf([one.url]);
  session.join(testPeer(1), () => undefined);
  while (one.asked.length < 20) await new Promise((resolve) => setTimeout(resolve, 5));
  one.does = 'answers';
  while (told.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(lines).toEqual(['a tracker does not answer: it is tried again', 'a tracker answers again']);
});

test('where no tracker is there, a seek is answered by the origins', async () => {
  const { session } = sessionOf([dead]);
  const answered = new Promise((resolve) => session.join(testPeer(1), resolve));
  session.set(digest, 'want');
  session.seek(byDigest(digest), 8);
  expect(await answered).toMatchObject({ digest, meta: testMeta(5), peers: [testPeer(9, 'origin')] });
});

test('a list of trackers that changes is followed: the new one is told what is here', async () => {
  const [one, two] = [await tracker(), await tracker()];
  const list = new ToldList([one.url]);
  const { session } = sessionOf(list);
  session.join(testPeer(1), () => undefined);
  session.set(digest, 'have');
  await expect.poll(() => session.stats.held).toBe(1);
  list.tell([two.url]);
  await expect.poll(() => two.asked).toContain('POST /v1/announce');
  await expect.poll(() => session.stats).toEqual({ blobs: 1, held: 1, down: 0 });
  expect(await session.locate(byDigest(digest), ctx)).toMatchObject({ digest });
  expect(two.asked.at(-1)).toContain('GET ');
  list.tell([]);
  expect(session.stats.blobs).toBe(1);
});
