/** That `loadgen tags` measures what it says: by what an index process counted itself, on real connections. */

import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { engineOf } from '../indexes/store.ts';
import { measureTags } from './command.ts';
import { Connection } from './connection.ts';

test('hosts that resolve one tag in the same second cost the store a handful of reads', {
  timeout: 120_000,
}, async () => {
  const asked = { readers: 520, writers: 8, tags: 20, durationMs: 200, rounds: 1, log: 'warn', json: false };
  const [found] = await measureTags({ ...asked, store: [engineOf('sqlite')] });
  expect(found?.herd.asked).toBe(520);
  // None, where nothing was written since one of them asked before.
  expect(found?.herd.ofEngine).toBeLessThanOrEqual(1);
  expect(found?.reads.ofEngine).toBeLessThanOrEqual(20);
  for (const figures of [found?.reads, found?.writes, found?.both.reads, found?.both.writes])
    expect(figures?.perS).toBeGreaterThan(0);
});

test.each([
  ['HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno', 'refused: HTTP/1.1 503'],
  ['HTTP/1.1 200 OK\r\n\r\n', 'unknown length'],
  ['HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf', 'closed before its answer'],
])('an answer that is none is an error: %j', async (answer, why) => {
  await using stack = new AsyncDisposableStack();
  const server = createServer((socket) => socket.once('data', () => socket.end(answer)));
  stack.defer(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
  });
  using connection = await Connection.open(port);
  await expect(connection.ask('GET / HTTP/1.1\r\n\r\n')).rejects.toThrow(why);
});

test('an answer that comes in pieces is one answer', async () => {
  await using stack = new AsyncDisposableStack();
  const server = createServer((socket) => {
    socket.on('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n');
      setTimeout(() => socket.write('\r\nfirst'), 20);
      setTimeout(() => socket.write('after'), 40);
    });
  });
  stack.defer(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
  });
  using connection = await Connection.open(port);
  for (let turn = 0; turn < 2; turn++) expect(await connection.ask('GET / HTTP/1.1\r\n\r\n')).toBe('firstafter');
});
