/** `shoal origin queue …` against a process that is told what to answer. */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ERRORS } from '../../../core/contracts/errors.ts';
import type { OriginOptions } from './blobs.ts';
import { changeQueue, listQueue } from './queue.ts';

let server: Server;
let answers: unknown[];
let options: OriginOptions;
let lines: string[];
let asked: string[];
const say = (line: string): void => void lines.push(line);
const row = (key: string, more: object = {}) => ({
  ...{ key, lane: 'main', about: 'x', bytes: 5, addedMs: Date.now() - 10_000, dueMs: 0, attempts: 2 },
  ...{ cause: '', message: '', dead: false },
  ...more,
});

beforeEach(async () => {
  [lines, asked, answers] = [[], [], []];
  server = createServer(async (request, response) => {
    const body = await text(request);
    const probe = !(request.url ?? '').startsWith('/v1');
    if (!probe) asked.push(`${request.method} ${request.url} ${body}`.trim());
    response.setHeader('content-type', 'application/json');
    const answer = probe ? {} : answers.shift();
    if (answer === undefined) response.statusCode = ERRORS.NOT_FOUND.status;
    response.end(JSON.stringify(answer ?? { errors: [{ code: 'NOT_FOUND', message: 'no such path' }] }));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const screen = { isTTY: false, write: () => true };
  options = { origin: `http://127.0.0.1:${port}`, json: false, signal: new AbortController().signal, screen };
});
afterEach(() => server.close());

test('rows of all pages, and why the last attempt failed', async () => {
  answers = [
    { rows: [row('one')], next: 1 },
    { rows: [row('two', { cause: 'denied', message: 'main: no', dead: true })] },
  ];
  await listQueue({ dead: false, backend: 'main', sums: false }, options, say);
  expect(lines).toEqual([
    expect.stringMatching(/^one {2}5 B {2}for 10 s {2}2 failed {2}due$/),
    expect.stringMatching(/^two .*dead {2}denied: main: no$/),
  ]);
  expect(asked[1]).toContain('after=1');
});

test('where nothing waits that is said, and not as a row', async () => {
  answers = [{ rows: [] }, { rows: [] }];
  const said: string[] = [];
  const shown = { ...options, screen: { write: (line: string) => said.push(line) } };
  await listQueue({ dead: false, backend: undefined, sums: false }, shown, say);
  await listQueue({ dead: false, backend: undefined, sums: false }, { ...shown, json: true }, say);
  expect(lines).toEqual([]);
  expect(said).toEqual(['nothing is owed to a backend\n']);
});

test('sums of each backend; how many were changed', async () => {
  const lane = { lane: 'main', waiting: 3, bytes: 15, dead: 1, oldestMs: Date.now() - 7_200_000 };
  answers = [{ lanes: [{ ...lane, causes: [{ cause: 'denied', rows: 1 }] }] }, { rows: 4 }];
  await listQueue({ dead: false, backend: undefined, sums: true }, options, say);
  expect(lines).toEqual(['main: 3 waiting (15 B, the oldest for 2 h), 1 dead; failed: 1 denied']);
  expect(await changeQueue('retry', 'one', options)).toContain('4 are tried again');
  expect(asked.at(-1)).toBe('POST /v1/queue/retries {"key":"one"}');
});

test('an origin without a backend says so', async () => {
  await expect(changeQueue('drop', undefined, options)).rejects.toThrow('no backend is configured there');
});
