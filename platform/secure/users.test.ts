/**
 * Certificates of users at a port that components call, too: clients are asked for them, and whatever such a certificate says
 * of itself, it makes nobody a component. Over real connections.
 */

import type { X509Certificate } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CallerRole } from '../../core/access/identity.ts';
import { issueCertificate, type KeyPair } from '../certs/make.ts';
import { TestAuthority } from '../certs/testing.fixtures.ts';
import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { Secure } from './secure.ts';

const stack = new AsyncDisposableStack();
let cluster: TestAuthority;
let users: TestAuthority;
let secure: Secure;
let server: Server;
const ports = { registry: 0, origin: 0 };

beforeAll(async () => {
  [cluster, users] = await Promise.all([TestAuthority.make(), TestAuthority.make()]);
  stack.use(cluster);
  stack.use(users);
  const [log, metrics, holder] = [silentLog(), new Metrics(), { role: 'proxy', cluster: 'test' } as const];
  secure = stack.use(new Secure({ files: await cluster.issue('proxy'), holder, log, metrics }));
  server = createServer((request, response) => {
    const socket = request.socket as TLSSocket;
    const shown: X509Certificate | undefined = socket.getPeerX509Certificate();
    response.end(JSON.stringify({ role: secure.caller(socket)?.role, shown: shown?.subject }));
  });
  for (const port of ['registry', 'origin'] as const) {
    const door = await secure.doors(port).listen(server, { host: '127.0.0.1', port: 0 });
    ports[port] = door.port;
    stack.defer(() => door.close());
  }
});
afterAll(() => stack.disposeAsync());

const says = async (by: KeyPair, role: CallerRole): Promise<KeyPair> => {
  const identity = { cluster: 'test', role, name: 'eve' };
  return await issueCertificate(by, {
    identity,
    sans: [],
    fromMs: cluster.nowMs - 1_000,
    untilMs: cluster.nowMs + 3_600_000,
  });
};

type Met = { readonly role?: string; readonly shown?: string };

/** What the server makes of who shows that. */
async function met({ certificate: cert, key }: KeyPair, port: keyof typeof ports = 'registry'): Promise<Met> {
  const socket = connect({ host: '127.0.0.1', port: ports[port], cert, key, rejectUnauthorized: false });
  socket.end('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4).replace(/^[0-9a-f]+\r\n|\r\n0\r\n\r\n$/g, ''));
}

test('without authorities of users, theirs are nobody, and components who they are', async () => {
  expect(await met(await says(users.pair, 'admin'))).toMatchObject({ shown: expect.stringContaining('CN=eve') });
  expect((await met(await says(users.pair, 'admin'))).role).toBeUndefined();
  expect((await met(await says(cluster.pair, 'admin'))).role).toBe('admin');
});

test('with them, one that says it is an operator is none, at any port, then and after they are gone', async () => {
  const { components } = secure;
  for (const authorities of [[users.pair.certificate], []]) {
    components.askUsers(authorities);
    for (const port of ['registry', 'origin'] as const) {
      expect((await met(await says(users.pair, 'admin'), port)).role).toBeUndefined();
      expect((await met(await says(cluster.pair, 'admin'), port)).role).toBe('admin');
    }
  }
});

test('a connection from when users were believed is no operator once they are not', async () => {
  secure.components.askUsers([users.pair.certificate]);
  const { certificate: cert, key } = await says(users.pair, 'admin');
  const socket = connect({ host: '127.0.0.1', port: ports.registry, cert, key, rejectUnauthorized: false });
  let text = '';
  socket.on('data', (chunk) => {
    text += String(chunk);
  });
  const asked = async (): Promise<string> => {
    text = '';
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await expect.poll(() => text, { timeout: 60_000 }).toContain('CN=eve');
    return text;
  };
  expect(await asked()).not.toContain('"role"');
  secure.components.askUsers([]);
  expect(await asked()).not.toContain('"role"');
  socket.destroy();
});
