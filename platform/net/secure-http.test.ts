/** Calls between processes that show certificates: only whoever is of the role that is called is spoken to. */

import { createServer as createPlain } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readMaterial } from '../certs/material.ts';
import { TestAuthority } from '../certs/testing.fixtures.ts';
import { HttpClient } from '../clients/http.ts';
import { type TestCallers, testCallers, testCluster } from '../secure/callers.fixtures.ts';
import { whoIsIn } from '../secure/who.ts';
import { Credentials } from './credentials.ts';
import { secureDoors, secureHttp } from './secure-http.ts';

let callers: TestCallers;
let authority: TestAuthority;
const stack = new AsyncDisposableStack();
beforeAll(async () => {
  const [own, other] = await Promise.all([TestAuthority.make(), TestAuthority.make()]);
  authority = own;
  stack.use(authority);
  stack.use(other);
  callers = await testCallers(authority, other);
});
afterAll(() => stack.disposeAsync());

const credentialsOf = (who: Parameters<TestCallers['material']>[0]): Credentials =>
  new Credentials(callers.material(who), whoIsIn(testCluster, Date.now));

const answering = (who: Parameters<TestCallers['material']>[0], plainToo = false) =>
  answeringWith(credentialsOf(who), plainToo);

/** Of an origin. */
async function materialFor(sans: readonly string[]): Promise<Credentials> {
  const found = readMaterial(
    await authority.issue('origin', { name: 'origin-9', sans }),
    { role: undefined, cluster: undefined },
    Date.now(),
  );
  if (!('identity' in found)) throw new Error(found.join());
  return new Credentials(found, whoIsIn(testCluster, Date.now));
}

async function answeringWith(credentials: Credentials, plainToo = false) {
  const server = createPlain((request, response) => {
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.on('end', () => response.end(JSON.stringify({ url: request.url, bytes })));
  });
  const listener = await secureDoors(credentials, { plainToo }).listen(server, { host: '127.0.0.1', port: 0 });
  stack.defer(() => listener.close());
  return { port: listener.port, server };
}

function clientTo(port: number, scheme: 'http' | 'https' = 'http'): HttpClient {
  const transport = secureHttp(credentialsOf('proxy'), ['origin']);
  return stack.use(new HttpClient({ base: `${scheme}://127.0.0.1:${port}`, transport }));
}

test.each(['http', 'https'] as const)('a URL with %s is called over TLS', async (scheme) => {
  const { port } = await answering('origin');
  expect(await clientTo(port, scheme).json('GET', '/x')).toEqual({ url: '/x', bytes: 0 });
});

test.each([
  ['agent', 'it is agent/agent-1, and not origin'],
  ['foreign', 'self-signed certificate in certificate chain|unable to'],
  ['expired', 'certificate has expired'],
  ['other cluster', 'admin/eve is of cluster elsewhere'],
  ['two roles', 'its subject names 2 roles'],
] as const)('who answers as %s is not spoken to', async (who, why) => {
  const { port, server } = await answering(who);
  let asked = 0;
  server.on('request', () => asked++);
  const call = clientTo(port).json('GET', '/secret', { tries: 1 });
  await expect(call).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringMatching(why) });
  expect(asked).toBe(0);
});

test('who answers with a certificate for other addresses is not spoken to', async () => {
  const names = ['10.0.0.9', 'origin-9'];
  const { port, server } = await answeringWith(await materialFor(names));
  let asked = 0;
  server.on('request', () => asked++);
  const why = /origin\/origin-9, whose certificate is for .*10.0.0.9, and not for 127.0.0.1/;
  const call = clientTo(port).json('GET', '/secret', { tries: 1 });
  await expect(call).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringMatching(why) });
  const transport = secureHttp(credentialsOf('proxy'), ['origin']);
  const of = (host: string): HttpClient =>
    stack.use(new HttpClient({ base: `http://127.0.0.1:${port}`, host, transport }));
  await expect(of('origin-8').json('GET', '/secret', { tries: 1 })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(asked).toBe(0);
  // It was found by its name, whatever its address.
  expect(await of('origin-9').json('GET', '/x')).toEqual({ url: '/x', bytes: 0 });
});

test('a certificate that names no address vouches for the role', async () => {
  const { port } = await answeringWith(await materialFor([]));
  expect(await clientTo(port).json('GET', '/x')).toEqual({ url: '/x', bytes: 0 });
});

test('a process without TLS is told apart from one that is away', async () => {
  const plain = createPlain((_, response) => response.end('{}'));
  await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
  stack.defer(() => void plain.close());
  const call = clientTo((plain.address() as AddressInfo).port).json('GET', '/', { tries: 1 });
  await expect(call).rejects.toMatchObject({ message: expect.stringContaining('it speaks no TLS') });
});

test('a door for both takes a whole body of either, byte by byte too', async () => {
  const { port } = await answering('origin', true);
  const body = Buffer.alloc(3_000_000, 'x');
  expect(await clientTo(port).json('PUT', '/tls', { body })).toEqual({ url: '/tls', bytes: body.length });
  const plain = stack.use(new HttpClient({ base: `http://127.0.0.1:${port}` }));
  expect(await plain.json('PUT', '/plain', { body })).toEqual({ url: '/plain', bytes: body.length });
  const socket = connect(port, '127.0.0.1').setNoDelay(true);
  for (const byte of 'GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n') {
    socket.write(byte);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  expect(text).toContain('/slow');
});

test('what is neither TLS nor HTTP ends its own connection only', async () => {
  const { port } = await answering('origin', true);
  for (const junk of [
    Buffer.from([22, 3, 1, 255, 255, ...Buffer.alloc(600, 7)]),
    Buffer.alloc(600, 200),
    Buffer.alloc(0),
  ]) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.end(junk);
    await new Promise((resolve) => socket.resume().once('close', resolve));
  }
  expect(await clientTo(port).json('GET', '/x')).toEqual({ url: '/x', bytes: 0 });
});
