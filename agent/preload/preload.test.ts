/** Preloads, at container runtimes that answer as docker and containerd do, over sockets of this host. */

import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Preloaded, preload } from './preload.ts';

let dir: string;
let server: Server | undefined;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-preload-'));
});
afterEach(async () => {
  server?.close();
  server = undefined;
  await rm(dir, { recursive: true, force: true });
});

const never = new AbortController().signal;
const pulled = (asked: Preloaded, signal = never) => {
  const socket = join(dir, 'sock');
  return preload(asked, { docker: socket, containerd: socket, registry: '127.0.0.1:16000' }, signal);
};
const tag = 'library/app:1';
const listening = (made: Server): Promise<void> => {
  server = made;
  return new Promise((resolve) => made.listen(join(dir, 'sock'), resolve));
};

const docker = (answer: RequestListener) => listening(createServer(answer));

test('docker is asked for the image at this agent, and is done when its progress ends', async () => {
  const asked: (string | undefined)[] = [];
  await docker((request, response) => {
    asked.push(request.method, request.url);
    response.write('{"status":"Pulling from library/app"}\n{"status":"Pull');
    setTimeout(() => response.end('ing fs layer","id":"ab"}\n'), 50);
  });
  await pulled({ tag });
  expect(asked).toEqual(['POST', '/images/create?fromImage=127.0.0.1%3A16000%2Flibrary%2Fapp&tag=1']);
});

test.each([
  [
    'an error in its progress',
    200,
    '{"status":"x"}\n{"errorDetail":{},"error":"manifest unknown"}\n',
    'manifest unknown',
  ],
  ['a refusal', 404, '{"message":"no such image"}\n', 'no such image'],
  ['a refusal without a word', 500, '', 'it answered 500'],
  ['a refusal that is no JSON', 502, '<html>', 'it answered 502'],
])('docker: %s is told', async (_what, status, body, says) => {
  await docker((_request, response) => response.writeHead(status).end(body));
  await expect(pulled({ tag })).rejects.toMatchObject({
    code: 'RUNTIME_FAILED',
    message: expect.stringContaining(says),
  });
});

test('docker: a connection that breaks off, and no socket at all, are told with where it was looked for', async () => {
  await expect(pulled({ tag })).rejects.toMatchObject({ message: expect.stringContaining('ENOENT') });
  await docker((request) => request.socket.destroy());
  await expect(pulled({ tag })).rejects.toMatchObject({ message: expect.stringContaining(join(dir, 'sock')) });
});

type Call = { readonly path: string; readonly namespace: unknown; readonly body: Buffer };
/** `answer`: a status of gRPC and its message, by the call's path. */
async function containerd(answer: (path: string, stream: ServerHttp2Stream) => readonly [number, string] | undefined) {
  const calls: Call[] = [];
  const made = createHttp2Server();
  made.on('stream', (stream, headers) => {
    const body: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => body.push(chunk));
    stream.on('error', () => undefined);
    stream.on('end', () => {
      const path = String(headers[':path']);
      calls.push({ path, namespace: headers['containerd-namespace'], body: Buffer.concat(body) });
      const told = answer(path, stream);
      if (told === undefined) return;
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.once('wantTrailers', () =>
        stream.sendTrailers({ 'grpc-status': String(told[0]), 'grpc-message': encodeURIComponent(told[1]) }),
      );
      stream.end(Buffer.alloc(5));
    });
  });
  await listening(made);
  return calls;
}
const inK8s = { tag, runtime: 'containerd', namespace: 'k8s.io' } as const;
const transfer = '/containerd.services.transfer.v1.Transfer/Transfer';
const pullImage = '/runtime.v1.ImageService/PullImage';
const old = (path: string) => (path === transfer ? ([12, 'unknown service'] as const) : ([0, ''] as const));

test('containerd is asked to transfer the image into its namespace, from this agent without TLS', async () => {
  const calls = await containerd(() => [0, '']);
  await pulled({ tag, runtime: 'containerd', namespace: 'default' });
  expect(calls).toMatchObject([{ path: transfer, namespace: 'default' }]);
  const { body } = calls[0] as Call;
  expect(body.readUInt32BE(1)).toBe(body.length - 5);
  for (const text of ['OCIRegistry', '127.0.0.1:16000/library/app:1', 'http', 'ImageStore', 'linux'])
    expect(body.includes(text)).toBe(true);
});

test('an older containerd is asked as Kubernetes asks it; for other namespaces it is refused', async () => {
  const calls = await containerd(old);
  await pulled(inK8s);
  expect(calls.map(({ path }) => path)).toEqual([transfer, pullImage]);
  const refused = pulled({ ...inK8s, namespace: 'default' });
  await expect(refused).rejects.toMatchObject({ code: 'RUNTIME_FAILED', message: expect.stringContaining('1.7') });
});

test('what containerd says is told, and what it does not say as well', async () => {
  await containerd(() => [5, 'not found: 127.0.0.1:16000/library/app:1 ü']);
  await expect(pulled(inK8s)).rejects.toMatchObject({ message: expect.stringContaining('library/app:1 ü') });
  server?.close();
  await rm(join(dir, 'sock'), { force: true });
  await containerd((_path, stream) => void stream.respond({ ':status': 415 }, { endStream: true }));
  await expect(pulled(inK8s)).rejects.toMatchObject({ message: expect.stringContaining('HTTP 415') });
});

test('who has gone ends the pull', async () => {
  const leaving = new AbortController();
  await containerd(() => {
    leaving.abort(new Error('gone'));
    return undefined;
  });
  await expect(pulled(inK8s, leaving.signal)).rejects.toThrow('gone');
});
