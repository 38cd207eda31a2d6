import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { realClock } from '../../net/clock.ts';
import { createLog } from '../../telemetry/log.ts';
import { sourceOf } from '../objects.fixtures.ts';
import { s3Schema } from './config.ts';
import { FakeS3 } from './fake.fixtures.ts';
import { S3Backend } from './s3.ts';

const never = new AbortController().signal;
const log = createLog({ role: 'origin', level: 'silent', name: '' });
const bytes = Buffer.from('ten bytes!');
const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' };
let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-s3-tls-'));
  const made = ['-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem'), '-days', '2', '-subj', '/CN=s3.test'];
  const names = ['-addext', 'subjectAltName=DNS:s3.test,DNS:localhost,IP:127.0.0.1'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...made, ...names], { stdio: 'ignore' });
});
afterAll(() => rmSync(dir, { recursive: true }));

const open = (more: object, env: Record<string, string> = {}): S3Backend =>
  new S3Backend(
    s3Schema.parse({ bucket: 'bucket', region: 'eu-central-1', credentials: { ...credentials }, ...more }),
    {
      ...{ name: 'main', stallMs: 5_000, env, clock: realClock, log },
    },
  );

/** TLS in front of a server without it. */
async function withTls(fake: FakeS3, stack: AsyncDisposableStack): Promise<number> {
  const server = createHttps({ key: readFileSync(join(dir, 'key.pem')), cert: readFileSync(join(dir, 'cert.pem')) });
  server.on('request', (request, response) => fake.serve(request, response));
  return await listening(server, stack);
}

async function listening(
  server: ReturnType<typeof createHttps> | ReturnType<typeof createHttp>,
  stack: AsyncDisposableStack,
) {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

test('a certificate that an own authority signed is taken with `ca`, and refused with a remedy without', async () => {
  await using stack = new AsyncDisposableStack();
  const fake = stack.use(await FakeS3.start());
  const endpoint = `https://localhost:${await withTls(fake, stack)}`;
  await using wrong = open({ endpoint });
  await expect(wrong.put('x', bytes, never)).rejects.toMatchObject({
    why: 'unavailable',
    message: expect.stringMatching(/`ca`/),
  });
  await using right = open({ endpoint, ca: join(dir, 'cert.pem') });
  await right.put('x', bytes, never);
  expect(fake.objects.get('x')?.bytes.equals(bytes)).toBe(true);
  expect(() => open({ endpoint, ca: join(dir, 'nowhere.pem') })).toThrow(/nowhere.pem/);
});

test('HTTPS_PROXY is gone through, but for NO_PROXY, and only as the environment that was given says', async () => {
  await using stack = new AsyncDisposableStack();
  const fake = stack.use(await FakeS3.start());
  const port = await withTls(fake, stack);
  const asked: (string | undefined)[] = [];
  const proxy = createHttp();
  proxy.on('connect', ({ url }, client: Socket) => {
    asked.push(url);
    const server = connect(port, '127.0.0.1', () => client.write('HTTP/1.1 200 OK\r\n\r\n'));
    server.pipe(client).pipe(server);
    for (const socket of [server, client]) socket.on('error', () => client.destroy());
  });
  const env = { HTTPS_PROXY: `http://127.0.0.1:${await listening(proxy, stack)}` };
  // Nobody resolves that name here: only the proxy leads to it.
  await using through = open({ endpoint: 'https://s3.test:4443', ca: join(dir, 'cert.pem') }, env);
  await through.put('x', bytes, never);
  expect(fake.objects.has('x')).toBe(true);
  expect(new Set(asked)).toEqual(new Set(['s3.test:4443']));
  const count = asked.length;
  const past = { ...env, NO_PROXY: 'localhost' };
  await using around = open({ endpoint: `https://localhost:${port}`, ca: join(dir, 'cert.pem') }, past);
  await around.put('y', bytes, never);
  expect(asked.length).toBe(count);
  expect(fake.objects.has('y')).toBe(true);
});

test('the bucket is in the path, or in the name of the host', async () => {
  await using fake = await FakeS3.start();
  const urls: string[] = [];
  fake.fault = ({ path }) => void urls.push(path);
  // A proxy is asked for the whole of a URL.
  const env = { HTTP_PROXY: fake.endpoint };
  await using inPath = open({ endpoint: 'http://s3.test' }, env);
  await inPath.remove('a/b', never);
  await using inHost = open({ endpoint: 'http://s3.test', pathStyle: false }, env);
  await inHost.remove('a/b', never);
  expect(urls.map((url) => url.split('?')[0])).toEqual(['http://s3.test/bucket/a/b', 'http://bucket.s3.test/a/b']);
});

test('encryption, storage class and digest go with every object', async () => {
  await using fake = await FakeS3.start();
  const seen: unknown[] = [];
  fake.fault = ({ method, key, query, headers }) => {
    const begins = (method === 'PUT' && !query.has('partNumber')) || (method === 'POST' && query.has('uploads'));
    if (begins && !key.includes('.shoal'))
      seen.push(
        ['server-side-encryption', 'server-side-encryption-aws-kms-key-id', 'storage-class'].map(
          (name) => headers[`x-amz-${name}`],
        ),
      );
    return undefined;
  };
  const parts = { size: 50_000, parallel: 2 };
  await using kms = fake.backend({ encryption: { kms: 'key-1' }, storageClass: 'STANDARD_IA', parts });
  await kms.write('small', sourceOf(bytes), never);
  await kms.write('large', sourceOf(Buffer.alloc(200_000)), never);
  await using own = fake.backend({ encryption: 's3' });
  await own.put('put', bytes, never);
  expect(seen[0]).toEqual(['aws:kms', 'key-1', 'STANDARD_IA']);
  expect(seen).toEqual([seen[0], seen[0], ['AES256', undefined, undefined]]);
  expect(fake.objects.get('large')?.meta).toEqual({ 'shoal-digest': sourceOf(Buffer.alloc(200_000)).digest });
});
