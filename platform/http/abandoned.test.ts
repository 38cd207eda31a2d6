import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { dropAbandoned } from './abandoned.ts';
import { createHttp, type Listening, listen } from './server.ts';

let listening: Listening;
let done: string[];
beforeEach(async () => {
  done = [];
  const app = createHttp({ role: 'index', log: silentLog(), metrics: new Metrics(), readiness: async () => [] });
  dropAbandoned(app);
  app.route({
    method: ['GET', 'PUT'],
    url: '/x',
    handler: async (request) => {
      done.push(request.method);
      return {};
    },
  });
  listening = await listen(app, { host: '127.0.0.1', port: 0 });
});
afterEach(() => listening[Symbol.asyncDispose]());

const body = '{"a":1}';
const put = `PUT /x HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

/** Blocks this thread, and the server with it, as a hang does. */
function hang(ms: number): void {
  for (const untilMs = performance.now() + ms; performance.now() < untilMs; );
}

async function connected() {
  const socket = connect(listening.port, '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  // The server has accepted it.
  await sleep(50);
  return socket;
}

test.each(['end', 'destroy', 'resetAndDestroy'] as const)(
  'a write that was given up (%s) during a hang is not begun',
  async (how) => {
    const socket = await connected();
    socket.on('error', () => undefined);
    socket.write(put);
    socket[how]();
    hang(100);
    await sleep(200);
    expect(done).toEqual([]);
  },
);

test('one that is still waited for is, and so are reads', async () => {
  const socket = await connected();
  socket.write(put);
  hang(100);
  await expect.poll(() => done).toEqual(['PUT']);
  socket.write('GET /x HTTP/1.1\r\nhost: x\r\n\r\n');
  await expect.poll(() => done).toEqual(['PUT', 'GET']);
  socket.destroy();
});
