/** Where acknowledged blobs are looked for at the end: a directory, or a bucket of a real server; either can be away for a while. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { type Digest, digestOf } from '../../../core/digest.ts';
import { registryLayout } from '../../../platform/backends/layout.ts';
import { temporary } from '../processes.ts';
import { keys } from './servers/s3.ts';
import { started } from './servers/server.ts';
import { startVersitygw } from './servers/versitygw.ts';

export type Rest = {
  /** Of a rule in `backends:`. */
  readonly rule: object;
  away(): Promise<void>;
  back(): Promise<void>;
  /** Whether the bytes under the blob's key are its own. */
  has(digest: Digest): Promise<boolean>;
};

export const rests: Readonly<Record<string, (stack: AsyncDisposableStack) => Promise<Rest>>> = {
  file: directory,
  s3: bucket,
};

async function directory(stack: AsyncDisposableStack): Promise<Rest> {
  const directory = join(await temporary(stack, 'rest'), 'bucket');
  await mkdir(directory);
  return {
    rule: { name: 'main', file: { directory } },
    away: () => rename(directory, `${directory}-away`),
    back: () => rename(`${directory}-away`, directory),
    async has(digest) {
      const file = join(directory, registryLayout.blobKey(digest));
      const there = await stat(file).then(
        () => true,
        () => false,
      );
      return there && (await digestOfStream(createReadStream(file))) === digest;
    },
  };
}

async function bucket(stack: AsyncDisposableStack): Promise<Rest> {
  const server = await started(stack, startVersitygw);
  await server.makeBucket('blobs');
  const client = server.client();
  stack.defer(() => client.destroy());
  return {
    rule: { name: 'main', s3: { bucket: 'blobs', endpoint: server.endpoint, credentials: keys } },
    away: () => server.kill(),
    back: () => server.start(),
    has: (digest) => held(client, digest),
  };
}

async function held(client: S3Client, digest: Digest): Promise<boolean> {
  try {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: 'blobs', Key: registryLayout.blobKey(digest) }));
    return (await digestOfStream(Body as AsyncIterable<Uint8Array>)) === digest;
  } catch (error) {
    if ((error as Error).name === 'NoSuchKey') return false;
    throw error;
  }
}

async function digestOfStream(chunks: AsyncIterable<Uint8Array>): Promise<Digest> {
  const hash = createHash('sha256');
  for await (const chunk of chunks) hash.update(chunk);
  return digestOf('sha256', hash.digest('hex'));
}
