/** `shoal origin …` against an origin that is told what to answer. */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ORIGIN_ADMIN } from '../../../core/contracts/origin-admin.ts';
import { digestOf } from '../../../core/digest.ts';
import { Failure } from '../../failure.ts';
import { blobStatus, evictBlobs, listBlobs, type OriginOptions, verifyBlobs } from './blobs.ts';

type Answer = (asked: { path: string; body: unknown }) => unknown;
let server: Server;
let answer: Answer;
let options: OriginOptions;
let lines: string[];
const asked: { path: string; body: unknown }[] = [];
const say = (line: string): void => void lines.push(line);
const of = (n: number) => digestOf('sha256', n.toString(16).padStart(64, '0'));
const blob = (n: number) => ({ digest: of(n), size: n, state: 'whole' });

beforeEach(async () => {
  lines = [];
  asked.length = 0;
  server = createServer(async (request, response) => {
    const sent = await text(request);
    const one = { path: request.url ?? '', body: sent === '' ? undefined : JSON.parse(sent) };
    // A server that is slow is pinged beside the calls.
    const probe = !one.path.startsWith('/v1');
    if (!probe) asked.push(one);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(probe ? {} : answer(one)));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const quiet = { isTTY: false, write: () => true };
  const { signal } = new AbortController();
  options = { origin: `http://127.0.0.1:${port}`, json: false, signal, screen: quiet };
});
afterEach(() => server.close());

test('ls goes through all pages; one that never ends is noticed', async () => {
  answer = ({ path }) =>
    path === ORIGIN_ADMIN.list.path({ n: 1000 })
      ? { blobs: [blob(1), blob(2)], more: true }
      : { blobs: [blob(3)], more: false };
  await listBlobs(options, say);
  expect(lines.map((line) => line.split(/ +/))).toEqual([1, 2, 3].map((n) => [of(n), 'whole', String(n)]));
  answer = () => ({ blobs: [blob(1)], more: true });
  await expect(listBlobs(options, say)).rejects.toThrow('the same page');
});

test('stat in words, and as JSON', async () => {
  const status = {
    ...blob(7),
    state: 'damaged',
    pieceLength: 5,
    pieces: 2,
    held: 1,
    inUse: true,
    owners: ['http://a'],
    unwritten: [{ backend: 'main', cause: 'denied', message: 'no', dead: true }],
  };
  answer = () => status;
  expect(await blobStatus(of(7), options)).toMatch(
    /damaged, in use[\s\S]*main has not confirmed it yet, dead, denied: no/,
  );
  expect(JSON.parse(await blobStatus(of(7), { ...options, json: true }))).toEqual(status);
});

test('verify looks at all that is whole, and fails where one is not right', async () => {
  const results = [{ result: 'right' }, { result: 'decayed', why: 'a piece' }];
  answer = ({ path }) =>
    path.endsWith('verification')
      ? results.shift()
      : { blobs: [blob(1), blob(2), { ...blob(3), state: 'partial' }], more: false };
  const error = await verifyBlobs([], options, say).catch((failure: unknown) => failure);
  expect(error).toBeInstanceOf(Failure);
  expect((error as Error).message).toContain('1 right, 1 decayed');
  expect(asked.filter(({ path }) => path.endsWith('verification'))).toHaveLength(2);
});

test('evict goes on while something goes, and fails with the reason where not all did', async () => {
  const used = [900, 800, 700];
  answer = () => {
    const usedBytes = used.shift() as number;
    return { evicted: [], usedBytes, budgetBytes: 1000, done: usedBytes === 700 };
  };
  await evictBlobs({ toPercent: 70 }, options, say);
  expect(asked.map(({ body }) => body)).toEqual([{ toPercent: 70 }, { toPercent: 70 }, { toPercent: 70 }]);
  expect(lines.join()).toContain('70 %');
  answer = () => ({ evicted: [of(1)], usedBytes: 9, budgetBytes: 10, done: false, why: 'it is needed' });
  await expect(evictBlobs([of(1), of(2)], options, say)).rejects.toThrow('it is needed');
  // One that never gets anywhere, and does not say why.
  answer = () => ({ evicted: [], usedBytes: 9, budgetBytes: 10, done: false });
  await expect(evictBlobs({ toBytes: 1 }, options, say)).rejects.toThrow('nothing more goes');
});
