/** Blobs of random bytes, uploaded to an origin through its own API, and found again in its directory. */

import { createHash, randomBytes, randomFillSync } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type Dispatcher, request } from 'undici';
import { ORIGIN } from '../core/contracts/origin.ts';
import { type Digest, digestHex, digestOf } from '../core/digest.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';

const chunkBytes = 1024 * 1024;

export type Blob = { readonly digest: Digest; readonly bytes: number };

/** Sends `bytes` random bytes to the origin at `base` while it hashes them; resolves once they are synced. `calls`: how, where not plainly. */
export async function uploadRandom(base: string, bytes: number, calls?: Dispatcher): Promise<Blob> {
  const id = randomBytes(12).toString('hex');
  await expect(base, 'POST', ORIGIN.upload.path({ id }), {
    body: '{}',
    headers: { 'content-type': 'application/json' },
    calls,
  });
  const hash = createHash('sha256');
  const body = Readable.from(
    randomChunks(bytes, (chunk) => hash.update(chunk)),
    { objectMode: false },
  );
  const headers = { 'content-type': 'application/octet-stream', 'content-length': String(bytes) };
  await expect(base, 'PATCH', ORIGIN.append.path({ id, offset: 0 }), { body, headers, calls });
  const digest = digestOf('sha256', hash.digest('hex'));
  await expect(base, 'PUT', ORIGIN.commit.path({ id, digest }), { calls });
  return { digest, bytes };
}

/** One random chunk, stamped anew each time: as good as random to a hash, and cheap. */
function* randomChunks(bytes: number, see: (chunk: Buffer) => void): Generator<Buffer> {
  const pattern = randomFillSync(Buffer.alloc(Math.min(chunkBytes, bytes)));
  for (let at = 0; at < bytes; at += chunkBytes) {
    const chunk = Buffer.from(pattern.subarray(0, Math.min(chunkBytes, bytes - at)));
    if (chunk.length >= 8) chunk.writeBigUInt64LE(BigInt(at), 0);
    see(chunk);
    yield chunk;
  }
}

type Body = {
  readonly body?: string | Buffer | Readable;
  readonly headers?: Record<string, string>;
  readonly calls?: Dispatcher | undefined;
};

async function expect(
  base: string,
  method: 'POST' | 'PATCH' | 'PUT',
  path: string,
  { calls, ...body }: Body,
): Promise<void> {
  const dispatcher = calls && { dispatcher: calls };
  const reply = await request(`${base}${path}`, { method, ...body, ...dispatcher, bodyTimeout: 0, headersTimeout: 0 });
  const text = await reply.body.text();
  if (reply.statusCode >= 300) throw new Error(`${method} ${base}${path}: ${reply.statusCode} ${text}`);
}

/** Pushes `bytes` random bytes to the repository `bench` of the registry at `base`, as a container engine would. */
export async function pushRandom(base: string, bytes: number): Promise<Blob> {
  const body = randomBytes(bytes);
  const digest = digestOf('sha256', createHash('sha256').update(body).digest('hex'));
  const begun = await request(base + OCI_PATHS.uploads('bench'), { method: 'POST' });
  await begun.body.dump();
  const location = begun.headers['location'];
  if (begun.statusCode !== 202 || typeof location !== 'string') throw new Error(`${base}: status ${begun.statusCode}`);
  const at = new URL(location, base);
  at.searchParams.set('digest', digest);
  const headers = { 'content-type': 'application/octet-stream' };
  await expect(at.origin, 'PUT', `${at.pathname}${at.search}`, { body, headers });
  return { digest, bytes };
}

/** The file below `dir` that holds the blob: its bytes, and the piece-hash list after them (0.002 percent more). */
export function fileOf(dir: string, { digest }: Blob): string {
  const hex = digestHex(digest);
  const name = readdirSync(dir, { recursive: true, encoding: 'utf8' }).find((path) => path.includes(`/${hex}.`));
  if (name === undefined) throw new Error(`no file of ${digest} below ${dir}`);
  return join(dir, name);
}
