/** How a route is answered: by a value, by nothing, by the handler itself; once each, and log and metrics say as what. */

import { Writable } from 'node:stream';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { route } from '../../core/contracts/route.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { serve } from './serve.ts';
import { createHttp, listen } from './server.ts';

const stack: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of stack.splice(0)) await one[Symbol.asyncDispose]();
});

test('what a handler has sent itself is left as it is, and is what log and metrics say', async () => {
  const lines: { msg?: string; level?: number; path?: string; status?: number }[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()) as (typeof lines)[number]);
      done();
    },
  });
  const metrics = new Metrics();
  const app = createHttp({ role: 'origin', log: pino({ level: 'debug' }, sink), metrics, readiness: async () => [] });
  serve(app, route('GET', '/nothing'), () => undefined);
  serve(app, route('GET', '/sent'), async ({ reply }) => reply.code(404).send('none'));
  serve(app, route('GET', '/raw'), async ({ reply }) => {
    reply.raw.writeHead(206, { connection: 'close' });
    await new Promise<void>((resolve) => reply.raw.end('part', resolve));
    return reply.hijack();
  });
  serve(app, route('HEAD', '/bodiless'), async ({ reply }) => reply.code(404).send());
  const listening = await listen(app, { host: '127.0.0.1', port: 0 });
  stack.push(listening);
  const ask = async (path: string, method = 'GET') => {
    const answer = await fetch(`http://127.0.0.1:${listening.port}${path}`, {
      method,
      headers: { connection: 'close' },
    });
    return [path, answer.status, await answer.text()];
  };

  const answers = [await ask('/nothing'), await ask('/sent'), await ask('/raw'), await ask('/bodiless', 'HEAD')];
  const statuses = [204, 404, 206, 404];
  expect(answers.map(([, status]) => status)).toEqual(statuses);
  expect(answers.map(([, , body]) => body)).toEqual(['', 'none', 'part', '']);
  expect((await ask('/metrics'))[1]).toBe(200);

  const requests = () => lines.filter(({ msg }) => msg === 'request').map(({ path, status }) => [path, status]);
  const asked = [...answers.map(([path, status]) => [path, status]), ['/metrics', 200]];
  await expect.poll(requests).toEqual(asked);
  expect(lines.filter(({ level = 0 }) => level > 30)).toEqual([]);
  const text = await metrics.text();
  for (const [path, status] of asked)
    expect(text).toMatch(new RegExp(`_count{.*route="${path}",status="${status}"} 1`));
});
