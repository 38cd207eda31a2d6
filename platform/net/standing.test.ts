/** Connections that are up while a certificate ends, or its authority goes: when each kind of them is cut off. */

import { createServer, request, type ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Material, type MaterialFiles, readMaterial } from '../certs/material.ts';
import { pemOf, TestAuthority } from '../certs/testing.fixtures.ts';
import { whoIsIn } from '../secure/who.ts';
import { Credentials } from './credentials.ts';
import { secureDoors } from './secure-http.ts';
import { tls } from './tls.ts';

const hourMs = 3_600_000;
let authority: TestAuthority;
let next: TestAuthority;
let server: MaterialFiles;
/** Its certificate ends in an hour. */
let client: MaterialFiles;
const stack = new AsyncDisposableStack();
beforeAll(async () => {
  [authority, next] = await Promise.all([TestAuthority.make(), TestAuthority.make()]);
  stack.use(authority);
  stack.use(next);
  server = await authority.issue('origin', { name: 'server' });
  client = await authority.issue('agent', { name: 'client', untilMs: Date.now() + hourMs });
});
afterAll(() => stack.disposeAsync());

function material(of: MaterialFiles): Material {
  const found = readMaterial(of, { role: undefined, cluster: 'test' }, Date.now());
  if ('identity' in found) return found;
  throw new Error(found.join('\n'));
}

class Time {
  aheadMs = 0;
  readonly now = (): number => Date.now() + this.aheadMs;
}

/** A link and a connection of HTTP from the client, both up. */
async function up(time: Time) {
  const ended: string[] = [];
  const watcher = { handshake: () => undefined, ended: ({ why }: { why: string }) => void ended.push(why) };
  const credentials = new Credentials(material(server), whoIsIn('test', time.now), watcher);
  const dialling = new Credentials(material(client), whoIsIn('test', Date.now));
  const links = await tls(credentials).listen(
    { host: '127.0.0.1', port: 0 },
    {
      accept: (incoming) => {
        incoming.take({ received: () => true, closed: () => undefined }).write(Buffer.from('x'), () => undefined);
      },
      failed: () => undefined,
    },
  );
  const answers: ServerResponse[] = [];
  const http = createServer((_, response) => {
    answers.push(response);
    response.write('begun');
  });
  const doors = await secureDoors(credentials, { plainToo: false }).listen(http, { host: '127.0.0.1', port: 0 });
  const sockets: TLSSocket[] = [];
  const seen = { linked: true, open: true, text: '' };
  const link = tls(dialling).dial(
    { host: '127.0.0.1', port: links.port },
    { received: () => true, closed: () => Object.assign(seen, { linked: false }) },
  );
  await vi.waitFor(() => expect(link.connecting).toBe(false), 60_000);
  const asked = request({
    createConnection: () => {
      const socket = dialling.dial({ host: '127.0.0.1', port: doors.port }, 'http');
      sockets.push(socket);
      return socket;
    },
  });
  asked.on('error', () => Object.assign(seen, { open: false }));
  asked.on('response', (response) => {
    response.on('data', (bytes) => {
      seen.text += bytes;
    });
    response.on('error', () => Object.assign(seen, { open: false }));
  });
  asked.end();
  await vi.waitFor(() => expect(seen.text).toBe('begun'), 60_000);
  const close = async (): Promise<void> => {
    link.destroy();
    for (const socket of sockets) socket.destroy();
    await Promise.all([links.close(), doors.close()]);
  };
  return { credentials, ended, answers, seen, close };
}

test('a certificate that ends takes its link along at once, and a request once it is done or long over', async () => {
  const time = new Time();
  const at = await up(time);
  at.credentials.sweep(time.now());
  expect(at.ended).toEqual([]);
  time.aheadMs = hourMs + 1_000;
  at.credentials.sweep(time.now());
  await vi.waitFor(() => expect(at.seen.linked).toBe(false), 60_000);
  expect(at.ended).toEqual(['the certificate of agent/client has expired']);
  // What moves may go on.
  for (const [i, word] of ['still', 'there'].entries()) {
    at.answers[0]?.write(word);
    await vi.waitFor(() => expect(at.seen.text).toContain(word), 60_000);
    time.aheadMs += 70_000;
    at.credentials.sweep(time.now());
    expect([i, at.ended.length, at.seen.open]).toEqual([i, 1, true]);
  }
  // Nothing has come or gone since.
  at.credentials.sweep(time.now());
  await vi.waitFor(() => expect(at.seen.open).toBe(false), 60_000);
  expect(at.ended).toHaveLength(2);
  await at.close();
});

test('what never pauses is cut off as well, after an hour', async () => {
  const time = new Time();
  const at = await up(time);
  time.aheadMs = hourMs + 1_000;
  at.credentials.sweep(time.now());
  time.aheadMs += hourMs;
  at.answers[0]?.write('more');
  await vi.waitFor(() => expect(at.seen.text).toContain('more'), 60_000);
  at.credentials.sweep(time.now());
  await vi.waitFor(() => expect(at.seen.open).toBe(false), 60_000);
  await at.close();
});

test('an authority that is not believed any more: its link goes, and a request is finished', async () => {
  const time = new Time();
  const at = await up(time);
  const both = next.write(pemOf(server), next.pair.certificate + authority.pair.certificate);
  at.credentials.replace(material(both));
  at.credentials.sweep(time.now());
  expect(at.ended).toEqual([]);
  at.credentials.replace(material(await next.issue('origin', { name: 'server' })));
  at.credentials.sweep(time.now());
  await vi.waitFor(() => expect(at.seen.linked).toBe(false), 60_000);
  expect(at.ended).toEqual(['the authority of agent/client is not believed any more']);
  at.answers[0]?.end('done');
  await vi.waitFor(() => expect(at.seen.text).toContain('done'), 60_000);
  await at.close();
});
