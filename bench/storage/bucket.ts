/** A bucket of a real S3 server in memory, and blobs in it that nothing of Shoal has put there or holds. */

import { createHash, randomBytes } from 'node:crypto';
import { closeSync, createReadStream, mkdirSync, openSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { digestOf } from '../../core/digest.ts';
import type { Blob } from '../../harness/blob.ts';
import { Skipped } from '../../harness/error.ts';
import { hasProgram, run, timed } from '../../harness/programs.ts';
import { registryLayout } from '../../platform/backends/layout.ts';
import { Child } from '../../platform/lifecycle/child.ts';
import { freePort } from '../../platform/testing/ports.ts';
import { find, hint } from '../../test/real/programs.ts';

export const bucket = 'bench';
const keys = { accessKeyId: 'shoal-bench', secretAccessKey: 'shoal-bench-secret' };
const region = 'us-east-1';
const access = { region, credentials: { ...keys }, forcePathStyle: true };
const readyMsMax = 30_000;
const chunkBytes = 2 ** 20;

/** A file of random bytes, and what it is called as a blob. */
export type BlobFile = Blob & { readonly file: string };

export class Bucket implements AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  readonly client: S3Client;
  readonly #child: Child;

  private constructor(child: Child, url: string) {
    this.#child = child;
    this.url = url;
    this.pid = child.pid;
    this.client = new S3Client({ ...access, endpoint: url });
  }

  static async start(dir: string): Promise<Bucket> {
    const program = find('versitygw');
    if (program === undefined) throw new Skipped(`needs versitygw (${hint('versitygw')})`);
    const port = await freePort();
    const data = join(dir, 'bucket');
    mkdirSync(data, { recursive: true });
    const env = { ...environment, ROOT_ACCESS_KEY: keys.accessKeyId, ROOT_SECRET_KEY: keys.secretAccessKey };
    const command = [program, '--quiet', '--port', `127.0.0.1:${port}`, 'posix', data];
    const plan = { name: 'versitygw', command, env, output: { file: join(dir, 'versitygw.log') } };
    const { child } = await Child.ready(plan, (starting) => starting.until(() => listens(port), readyMsMax));
    const made = new Bucket(child, `http://127.0.0.1:${port}`);
    await made.client.send(new CreateBucketCommand({ Bucket: bucket }));
    return made;
  }

  /** What a rule of `backends` says of it, reached at `endpoint`. */
  settings(endpoint: string): Record<string, unknown> {
    return { bucket, endpoint, region, credentials: { ...keys } };
  }

  async holds({ digest, bytes }: Blob): Promise<boolean> {
    const asked = new HeadObjectCommand({ Bucket: bucket, Key: registryLayout.blobKey(digest) });
    return await this.client.send(asked).then(
      ({ ContentLength }) => ContentLength === bytes,
      () => false,
    );
  }

  /** Copied as everybody would: by the AWS CLI, or where that is not there by the SDK's own uploader. Seconds; who did it. */
  async copyIn(
    { file, digest }: BlobFile,
    key = registryLayout.blobKey(digest),
  ): Promise<{ seconds: number; by: string }> {
    const startedMs = performance.now();
    const by = hasProgram('aws') ? 'aws s3 cp' : 'lib-storage';
    if (by === 'aws s3 cp') await run('env', [...this.#awsEnvironment, 'aws', ...this.#copy(file, key)]);
    else
      await new Upload({
        client: this.client,
        params: { Bucket: bucket, Key: key, Body: createReadStream(file) },
      }).done();
    return { seconds: (performance.now() - startedMs) / 1000, by };
  }

  async remove({ digest }: BlobFile): Promise<void> {
    await this.client.send(new DeleteObjectCommand({ Bucket: bucket, Key: registryLayout.blobKey(digest) }));
  }

  /** Milliseconds to the first byte of a range, by curl. */
  async curlFirstByteMs(endpoint: string, blob: BlobFile): Promise<number> {
    const url = await this.#signed(endpoint, blob);
    const said = await run('curl', [
      '-sf',
      '-r',
      '0-1048575',
      '-o',
      '/dev/null',
      '-w',
      '%{stderr}%{time_starttransfer}',
      url,
    ]);
    return Number(said.trim().split('\n').at(-1)) * 1000;
  }

  /** Seconds that the whole blob takes, over one connection. */
  async curlSeconds(endpoint: string, blob: BlobFile): Promise<number> {
    return await timed('curl', ['-sf', '-o', '/dev/null', await this.#signed(endpoint, blob)]);
  }

  /** For who knows no keys. */
  async #signed(endpoint: string, { digest }: BlobFile): Promise<string> {
    await using stack = new AsyncDisposableStack();
    const client = stack.adopt(new S3Client({ ...access, endpoint }), async (open) => open.destroy());
    const asked = new GetObjectCommand({ Bucket: bucket, Key: registryLayout.blobKey(digest) });
    return await getSignedUrl(client, asked, { expiresIn: 3_600 });
  }

  get #awsEnvironment(): string[] {
    const { accessKeyId, secretAccessKey } = keys;
    return [
      `AWS_ACCESS_KEY_ID=${accessKeyId}`,
      `AWS_SECRET_ACCESS_KEY=${secretAccessKey}`,
      `AWS_DEFAULT_REGION=${region}`,
    ];
  }

  #copy(file: string, key: string): string[] {
    return ['--endpoint-url', this.url, 's3', 'cp', '--quiet', file, `s3://${bucket}/${key}`];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.destroy();
    await this.#child.end();
  }
}

/** All that a server needs of ours. */
const environment = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/nonexistent' };

/** Random bytes in `file`. */
export function makeBlob(file: string, bytes: number): BlobFile {
  const hash = createHash('sha256');
  const chunk = randomBytes(Math.min(bytes, chunkBytes));
  const fd = openSync(file, 'w');
  for (let at = 0; at < bytes; at += chunkBytes) {
    // Stamped anew: as good as random to a hash, and cheap.
    if (chunk.length >= 8) chunk.writeBigUInt64LE(BigInt(at), 0);
    const part = chunk.subarray(0, Math.min(chunkBytes, bytes - at));
    hash.update(part);
    writeSync(fd, part);
  }
  closeSync(fd);
  return { file, digest: digestOf('sha256', hash.digest('hex')), bytes };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
