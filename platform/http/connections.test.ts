/** How many connections and requests one client may have, over real sockets. */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { trustedOf } from './call.ts';
import { createHttp, type HttpOptions, listen } from './server.ts';

const stack = new AsyncDisposableStack();
const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

type Served = { readonly port: number; readonly metrics: Metrics; readonly release: () => void };

/** `/held` is answered once it is released. */
async function served(limits: Pick<HttpOptions, 'connectionsMax' | 'inFlight'>): Promise<Served> {
  const metrics = new Metrics();
  const held = Promise.withResolvers<void>();
  const app = createHttp({ role: 'proxy', log: silentLog(), metrics, readiness: async () => [], ...limits });
  app.get('/held', async () => {
    await held.promise;
    return { held: true };
  });
  const { port } = stack.use(await listen(app, { host: '127.0.0.1', port: 0 }));
  return { port, metrics, release: held.resolve };
}

async function opened(port: number, localAddress: string): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, localAddress });
  socket.on('error', () => undefined);
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nhost: here\r\n${more}\r\n`;

/** What comes until it looks like `wanted`, or the connection ends. */
async function until(socket: Socket, wanted: RegExp): Promise<string> {
  let text = '';
  for await (const bytes of socket.iterator({ destroyOnReturn: false })) {
    text += String(bytes);
    if (wanted.test(text)) break;
  }
  return text;
}

test('a flood of idle connections makes room for who has few, and what is answered is not cut', {
  timeout: 60_000,
}, async () => {
  const { port, metrics, release } = await served({ connectionsMax: 32 });
  const busy = await opened(port, '127.0.0.9');
  busy.write(get('/held'));
  const kept = await opened(port, '127.0.0.1');
  for (let i = 0; i < 200; i++) await opened(port, '127.0.0.9');
  const late = await opened(port, '127.0.0.2');
  late.write(get('/health'));
  kept.write(get('/health'));
  expect(await until(late, /"ok"/)).toContain('200 OK');
  expect(await until(kept, /"ok"/)).toContain('200 OK');
  release();
  expect(await until(busy, /held/)).toContain('200 OK');
  expect(await metrics.text()).toMatch(/shoal_connections_cut_total 1\d\d/);
});

test('who sends requests by the thousand without waiting for answers is cut off; some are answered', {
  timeout: 60_000,
}, async () => {
  const { port } = await served({});
  const socket = await opened(port, '127.0.0.9');
  socket.write(get('/held').repeat(5_000));
  await new Promise((resolve) => socket.once('close', resolve));
  const polite = await opened(port, '127.0.0.9');
  polite.write(get('/health').repeat(10));
  expect((await until(polite, /(ok.*){10}/s)).match(/200 OK/g)).toHaveLength(10);
});

test('one client has so many requests at a time, others have theirs; what ends makes room', {
  timeout: 60_000,
}, async () => {
  const { port, release } = await served({ inFlight: { perClientMax: 5, trusted: trustedOf(['127.0.0.7']) } });
  const many = await Promise.all(Array.from({ length: 5 }, () => opened(port, '127.0.0.9')));
  for (const socket of many) socket.write(get('/held'));
  const refused = await opened(port, '127.0.0.9');
  await expect
    .poll(async () => {
      refused.write(get('/health'));
      return await until(refused, /\}/);
    })
    .toContain('429 Too Many Requests');
  const other = await opened(port, '127.0.0.8');
  other.write(get('/health'));
  expect(await until(other, /"ok"/)).toContain('200 OK');
  // Who is told of by a load balancer is a client of his own.
  const [balanced, same] = [await opened(port, '127.0.0.7'), await opened(port, '127.0.0.7')];
  balanced.write(get('/health', 'x-forwarded-for: 127.0.0.9\r\n'));
  same.write(get('/health', 'x-forwarded-for: 10.0.0.1\r\n'));
  expect(await until(balanced, /\}/)).toContain('429');
  expect(await until(same, /\}/)).toContain('200 OK');
  many[0]?.destroy();
  await expect
    .poll(async () => {
      refused.write(get('/health'));
      return await until(refused, /\}/);
    })
    .toContain('200 OK');
  release();
});
