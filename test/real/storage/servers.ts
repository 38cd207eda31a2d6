/**
 * Real servers of S3, each a process of its own on a directory of its own, for as long as a test goes on. They can be
 * killed and started again: their address and directory stay.
 */
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { Child } from '../../../platform/lifecycle/child.ts';
import { keepRunning, temporary } from '../processes.ts';
import { need } from '../programs.ts';

export const keys = { accessKeyId: 'shoal-test', secretAccessKey: 'shoal-test-secret' };
const readyMsMax = 60_000;

type Program = { readonly command: (at: Place) => string[]; readonly env: NodeJS.ProcessEnv; readonly ready: string };
type Place = { readonly port: number; readonly dir: string };

const PROGRAMS = {
  versitygw: {
    command: ({ port, dir }) => [need('versitygw'), '--port', `127.0.0.1:${port}`, '--health', '/ready', 'posix', dir],
    env: { ROOT_ACCESS_KEY: keys.accessKeyId, ROOT_SECRET_KEY: keys.secretAccessKey },
    ready: '/ready',
  },
  minio: {
    command: ({ port, dir }) => [
      ...[
        need('minio'),
        'server',
        '--quiet',
        '--address',
        `127.0.0.1:${port}`,
        '--console-address',
        '127.0.0.1:0',
        dir,
      ],
    ],
    env: { MINIO_ROOT_USER: keys.accessKeyId, MINIO_ROOT_PASSWORD: keys.secretAccessKey, MINIO_UPDATE: 'off' },
    ready: '/minio/health/ready',
  },
} as const satisfies Record<string, Program>;

export type ServerName = keyof typeof PROGRAMS;
export const serverNames = Object.keys(PROGRAMS) as ServerName[];

export class S3Server implements AsyncDisposable {
  readonly endpoint: string;
  readonly #program: Program;
  readonly #place: Place;
  readonly #log: string;
  #child: Child | undefined;

  constructor(program: Program, place: Place, log: string) {
    this.#program = program;
    this.#place = place;
    this.#log = log;
    this.endpoint = `http://127.0.0.1:${place.port}`;
  }

  async start(): Promise<void> {
    const child = keepRunning(this.#program.command(this.#place), this.#log, this.#program.env);
    this.#child = child;
    await child.until(async () => {
      const answer = await fetch(this.endpoint + this.#program.ready);
      await answer.arrayBuffer();
      return answer.ok;
    }, readyMsMax);
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** As kill -9 does. */
  async kill(): Promise<void> {
    await this.#child?.end(0);
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child?.end(0);
  }
}

/** Started, and ended with the stack. */
export async function startServer(stack: AsyncDisposableStack, name: ServerName): Promise<S3Server> {
  const dir = await temporary(stack, name);
  await mkdir(join(dir, 'data'));
  const place = { port: await freePort(), dir: join(dir, 'data') };
  const server = stack.use(new S3Server(PROGRAMS[name], place, join(dir, 'log')));
  await server.start();
  return server;
}

/** One that was free a moment ago. */
async function freePort(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const server = createServer();
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { port: number };
    server.close(() => resolve(port));
  });
  return await promise;
}
