/** The cheap reader counts a body right however it is cut, and refuses what is no blob. */

import { createServer, type RequestListener } from 'node:http';
import { createServer as createRaw } from 'node:net';
import { expect, test } from 'vitest';
import { readBody } from './read.ts';

async function served(stack: AsyncDisposableStack, handler: RequestListener): Promise<string> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return `http://127.0.0.1:${(server.address() as { port: number }).port}/blob`;
}

test('reads to the end, or to the first byte', async () => {
  await using stack = new AsyncDisposableStack();
  const bytes = 3_000_000;
  const url = await served(stack, (_, response) => {
    response.writeHead(200, { 'content-length': bytes }).end(Buffer.alloc(bytes));
  });
  const whole = await readBody(url);
  expect(whole.bytes).toBe(bytes);
  expect(whole.firstMs).toBeLessThanOrEqual(whole.halfMs);
  expect(whole.halfMs).toBeLessThanOrEqual(whole.doneMs);
  expect((await readBody(url, 'first')).bytes).toBeGreaterThan(0);
});

test('a head that comes byte by byte, with the body right behind it', async () => {
  await using stack = new AsyncDisposableStack();
  const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello';
  const server = createRaw((socket) => {
    socket.setNoDelay(true);
    socket.once('data', async () => {
      for (const byte of answer) await new Promise<void>((resolve) => socket.write(byte, () => resolve()));
    });
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const { port } = server.address() as { port: number };
  expect((await readBody(`http://127.0.0.1:${port}/`)).bytes).toBe(5);
});

test('an error status, or a body cut short, is an error', async () => {
  await using stack = new AsyncDisposableStack();
  const missing = await served(stack, (_, response) => response.writeHead(404).end('no'));
  await expect(readBody(missing)).rejects.toThrow('an answer that is no blob');
  const cut = await served(stack, (_, response) => {
    response.writeHead(200, { 'content-length': 100 }).write('half', () => response.destroy());
  });
  await expect(readBody(cut)).rejects.toThrow(/closed after|ECONNRESET/);
});
