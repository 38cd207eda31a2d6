/** A member at an address that a name stands for: it is called by the name, in `Host` and in TLS. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import { certificate } from '../../backends/web/web.fixtures.ts';
import { silentLog } from '../../telemetry/log.ts';
import { Metrics } from '../../telemetry/metrics.ts';
import { Membership } from '../membership.ts';
import { TestDns } from './server.fixtures.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

/** What each request said of whom it wants. */
async function asked(scheme: 'http' | 'https', names: string, entry: (port: number) => string): Promise<string[]> {
  const dir = mkdtempSync(join(tmpdir(), 'shoal-named-'));
  stack.defer(() => rmSync(dir, { recursive: true }));
  const heard: string[] = [];
  const answer: RequestListener = (request, response) => {
    const { servername = '' } = request.socket as Partial<TLSSocket>;
    heard.push(`${request.headers.host} ${servername || ''}`);
    response.end('{}');
  };
  let server = createServer(answer);
  if (scheme === 'https') {
    const files = certificate(dir, 'member', names);
    const [cert, key] = [readFileSync(files.cert, 'utf8'), readFileSync(files.key, 'utf8')];
    const before = getCACertificates('default');
    setDefaultCACertificates([...before, cert]);
    stack.defer(() => setDefaultCACertificates(before));
    server = createTlsServer({ cert, key }, answer);
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => void server.close().closeAllConnections());
  const { port } = server.address() as AddressInfo;
  const dns = stack.use(await TestDns.start());
  dns.addresses('origin.shoal.test', ['127.0.0.1']);
  const settings = { check: 60_000, fails: 2, passes: 2, refresh: 60_000, grace: 1_000, resolver: [dns.address] };
  const context = { config: { members: settings }, log: silentLog(), metrics: new Metrics() };
  const membership = stack.use(new Membership(context));
  const members = await membership.others('index', [entry(port)]);
  const [member] = members.all;
  await member?.alive(AbortSignal.timeout(5_000));
  return heard.map((line) => line.replaceAll(String(port), 'PORT'));
}

test('over HTTP, Host is the name and the port', async () => {
  const heard = await asked('http', '', (port) => `dns+http://origin.shoal.test:${port}`);
  expect(new Set(heard)).toEqual(new Set(['origin.shoal.test:PORT ']));
});

test('over TLS, the certificate is to be that of the name', async () => {
  const entry = (port: number): string => `dns+https://origin.shoal.test:${port}`;
  const heard = await asked('https', 'DNS:origin.shoal.test', entry);
  expect(new Set(heard)).toEqual(new Set(['origin.shoal.test:PORT origin.shoal.test']));
  await expect(asked('https', 'DNS:other.shoal.test,IP:127.0.0.1', entry)).rejects.toThrow(/altnames|Hostname/);
});
