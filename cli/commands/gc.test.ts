/** `shoal gc` against an index and origins that answer so. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Failure } from '../failure.ts';
import { gc } from './gc.ts';

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

type Answer = (method: string, path: string, body: unknown) => object;

async function answering(answer: Answer): Promise<string> {
  const server = createServer(async (request, response) => {
    const body = request.method === 'POST' ? await json(request) : undefined;
    const told = answer(request.method as string, request.url as string, body);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(told));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const step = { links: 0, bytes: 0, more: false, idle: 5, due: 3, dueBytes: 3_000 };
const round = { apply: false, running: false, looked: 9, of: 9, blobs: 2, bytes: 2_000, waiting: 0, owed: 0 };

async function ran(index: string, origins: string[], how: { now?: boolean; json?: boolean } = {}) {
  const lines: string[] = [];
  const screen = { write: () => undefined };
  const { now = false, json: asJson = false } = how;
  const options = { index, origins, now, json: asJson, signal: new AbortController().signal, screen };
  const error = await gc(options, (line) => lines.push(line)).then(
    () => undefined,
    (failure: unknown) => failure,
  );
  return { lines, error };
}

test('what would go is told of the index and of each origin that the named one knows', async () => {
  const second = await answering(() => ({ ...round, owed: 1 }));
  const first = await answering((_, path) =>
    path === '/v1/members'
      ? {
          lists: [
            {
              role: 'origins',
              doubles: [],
              members: [
                { id: '0f'.repeat(16), weight: 1, up: true, self: true },
                { url: second, up: true },
              ],
            },
          ],
        }
      : round,
  );
  const asked: unknown[] = [];
  const index = await answering((_, __, body) => {
    asked.push(body);
    return step;
  });
  const { lines, error } = await ran(index, [first]);
  expect(error).toBeUndefined();
  expect(lines).toEqual([
    `index  ${index}  3 links of blobs would go (3.0 kB); 2 more that nothing refers to are younger than the grace`,
    `origin ${first}  2 of 9 blobs would go (2.0 kB)`,
    `origin ${second}  2 of 9 blobs would go (2.0 kB); 1 stay until a backend has them`,
    'nothing was changed: --now has it go',
  ]);
  expect(asked).toEqual([{ apply: false }]);
});

test('--now goes on until nothing is left, and waits for the origins; one that did not do it is a failure', async () => {
  let [steps, polls] = [0, 0];
  const index = await answering(() => ({ ...step, links: 100, bytes: 10, due: 0, idle: 0, more: ++steps < 3 }));
  const origin = await answering((method, path) => {
    if (path === '/v1/members') return { lists: [] };
    const running = method === 'POST' || ++polls < 2;
    return { ...round, apply: true, running, ...(running ? {} : { why: 'no index answers' }) };
  });
  const { lines, error } = await ran(index, [origin], { now: true, json: true });
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { index, links: 300, bytes: 30 },
    { origin, apply: true, running: false, why: 'no index answers' },
  ]);
  expect(error).toBeInstanceOf(Failure);
  expect((error as Failure).message).toBe(`${origin}: no index answers`);
});

test('of backends it is told what would go, what went, and why not', async () => {
  const backends = { gone: 2, failed: 1, waiting: 4, due: 3, off: 'main: it is denied' };
  const index = await answering(() => ({ ...step, backends }));
  const dry = await ran(index, []);
  expect(dry.lines[0]).toContain('; from backends 3 would go, 4 more wait for their grace (main: it is denied)');
  expect(dry.error).toBeUndefined();
  const { lines, error } = await ran(index, [], { now: true });
  expect(lines[0]).toContain('; from backends 2 went, 3 could not, 4 more wait for their grace (main: it is denied)');
  expect((error as Failure).message).toBe(`${index}: main: it is denied`);
});

test('of manifests without a tag it is told what would go by which rule, and what went', async () => {
  let steps = 0;
  const rule = (gone: number, due: number) => ({
    ...{ repositories: ['team/**', 'a\u001b'], untaggedMs: 604_800_000, gone, due, waiting: 4 },
  });
  const hours = { repositories: ['b'], untaggedMs: 129_600_000, gone: 0, due: 0, waiting: 0 };
  const index = await answering((_, __, body) =>
    (body as { apply: boolean }).apply
      ? { ...step, retention: [rule(++steps, 1), hours], more: steps < 3 }
      : { ...step, retention: [rule(0, 3), hours] },
  );
  expect((await ran(index, [])).lines.slice(1)).toEqual([
    '       3 manifests untagged for 7 d in team/**, a\\u{1b} would go, 4 more are younger',
    '       0 manifests untagged for 36 h in b would go',
    'nothing was changed: --now has it go',
  ]);
  const { lines, error } = await ran(index, [], { now: true });
  expect(error).toBeUndefined();
  expect(lines[1]).toBe('       3 manifests untagged for 7 d in team/**, a\\u{1b} went, 1 did not, 4 more are younger');
});

test('an index that collects nothing now says why', async () => {
  const index = await answering(() => ({ ...step, off: 'the index is read only' }));
  const { error } = await ran(index, ['http://127.0.0.1:1'], { now: true });
  expect((error as Failure).message).toBe(`${index}: the index is read only`);
});
