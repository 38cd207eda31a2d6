/** What the servers of S3 have in common: their keys, a bucket to begin with, and a client of AWS's that looks behind ours. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { freePort } from '../../../../platform/testing/ports.ts';
import { answering, Restartable, type StorageServer } from './server.ts';

export const keys = { accessKeyId: 'shoal-test', secretAccessKey: 'shoal-test-secret' };
const firstBucket = 'images';

export type S3Program = {
  readonly command: (at: { readonly port: number; readonly data: string }) => readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Path that is answered once it runs. */
  readonly ready: string;
};

export class S3Server extends Restartable implements StorageServer {
  readonly endpoint: string;
  readonly env = {};

  private constructor({ command, env, ready }: S3Program, dir: string, port: number) {
    const endpoint = `http://127.0.0.1:${port}`;
    super({
      command: command({ port, data: join(dir, 'data') }),
      env,
      log: join(dir, 'log'),
      ready: answering(endpoint + ready),
    });
    this.endpoint = endpoint;
  }

  static async begin(program: S3Program, dir: string): Promise<S3Server> {
    await mkdir(join(dir, 'data'));
    const server = new S3Server(program, dir, await freePort());
    await server.start();
    await server.makeBucket(firstBucket);
    return server;
  }

  get rule() {
    const s3 = { bucket: firstBucket, endpoint: this.endpoint, region: 'us-east-1', credentials: { ...keys } };
    return { name: 'main', s3 };
  }

  client(): S3Client {
    return new S3Client({
      endpoint: this.endpoint,
      region: 'us-east-1',
      credentials: { ...keys },
      forcePathStyle: true,
    });
  }

  async makeBucket(bucket: string): Promise<void> {
    const client = this.client();
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    client.destroy();
  }
}
