/** `shoal origin repair|drain` against an origin that is told what to answer. */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { OriginOptions } from './blobs.ts';
import { drainOrigin, repairStatus } from './healing.ts';

let server: Server;
let answers: unknown[];
let asked: string[];
let shown: string[];
let options: OriginOptions;

const repair = {
  ...{
    phase: 'fetches',
    lacking: { blobs: 3, bytes: 5_000_000 },
    below: 2,
    unheard: 7,
    spare: { blobs: 4, unsafe: 1 },
  },
  ...{ fetched: { blobs: 9, bytes: 1_000 }, failed: 1, rate: 2_000_000, rateMax: 100_000_000, leftMs: 2_500 },
  others: [{ place: 'b', url: 'http://b', state: 'differs' }],
};
const drained = {
  ...{ draining: true, mayStop: false, why: ['1 uploads are open'], blobs: 9, left: 2, leftBytes: 5 },
  ...{ unlinked: 0, uploads: 1, owed: 0 },
};

beforeEach(async () => {
  [answers, asked, shown] = [[], [], []];
  server = createServer((request, response) => {
    const probe = !(request.url ?? '').startsWith('/v1');
    if (!probe) asked.push(`${request.method} ${request.url}`);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(probe ? {} : (answers.shift() ?? {})));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const screen = { isTTY: false, write: (line: string) => shown.push(line) > 0 };
  options = { origin: `http://127.0.0.1:${port}`, json: false, signal: new AbortController().signal, screen };
});
afterEach(() => server.close());

test('repair in words, and as JSON; --now has it compared at once', async () => {
  answers = [repair, undefined, repair];
  const text = await repairStatus(false, options);
  expect(text).toMatch(/fetches\n.*3 blobs here \(5.0 MB\), about 3 s left\n.*2 blobs.*7 of which/);
  expect(text).toContain('http://b  differs');
  expect(JSON.parse(await repairStatus(true, { ...options, json: true }))).toEqual(repair);
  expect(asked).toEqual(['GET /v1/repair', 'POST /v1/repair/now', 'GET /v1/repair']);
});

test('drain begins, says what is left, and waits until it may be switched off', async () => {
  answers = [drained, drained, { ...drained, mayStop: true, why: [], left: 0, unlinked: 3 }];
  const how = { cancel: false, show: false, wait: true };
  expect(await drainOrigin(how, options)).toContain(
    'may be switched off: all of its 9 blobs are elsewhere; 3 that nothing',
  );
  expect(shown).toEqual(['1 uploads are open\n']);
  expect(asked).toEqual(['POST /v1/drain', 'GET /v1/drain', 'GET /v1/drain']);
});

test('drain is called off, shown, and not waited for where there is none', async () => {
  answers = [{ ...drained, draining: false }, drained, { ...drained, draining: false }];
  expect(await drainOrigin({ cancel: true, show: false, wait: false }, options)).toBe(
    'the origin is not being drained',
  );
  expect(await drainOrigin({ cancel: false, show: true, wait: false }, options)).toMatch(
    /not be switched off yet: 2 of 9/,
  );
  await expect(drainOrigin({ cancel: false, show: true, wait: true }, options)).rejects.toThrow('not being drained');
  expect(asked).toEqual(['DELETE /v1/drain', 'GET /v1/drain', 'GET /v1/drain']);
});
