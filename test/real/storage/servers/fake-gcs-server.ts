/**
 * fake-gcs-server: Google's JSON API on a directory. It looks at no credentials, and holds an upload in memory; it takes
 * the question of how far an upload has got for its end.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../../../platform/testing/ports.ts';
import { need } from '../../programs.ts';
import { answering, Restartable, type StorageServer } from './server.ts';

const firstBucket = 'images';

export class FakeGcsServer extends Restartable implements StorageServer {
  readonly endpoint: string;
  readonly env = {};

  private constructor(dir: string, port: number) {
    const endpoint = `http://127.0.0.1:${port}`;
    const at = ['-scheme', 'http', '-host', '127.0.0.1', '-port', String(port)];
    const known = ['-public-host', `127.0.0.1:${port}`, '-external-url', endpoint];
    super({
      command: [
        need('fake-gcs-server'),
        ...at,
        ...known,
        ...['-backend', 'filesystem', '-filesystem-root', join(dir, 'data'), '-log-level', 'error'],
      ],
      log: join(dir, 'log'),
      ready: answering(`${endpoint}/storage/v1/b?project=test`),
    });
    this.endpoint = endpoint;
  }

  static async begin(dir: string): Promise<FakeGcsServer> {
    await mkdir(join(dir, 'data'));
    const server = new FakeGcsServer(dir, await freePort());
    await server.start();
    await server.makeBucket(firstBucket);
    return server;
  }

  get rule() {
    return { name: 'main', gcs: { bucket: firstBucket, endpoint: this.endpoint, credentials: 'anonymous' } };
  }

  async makeBucket(name: string): Promise<void> {
    await this.#ask('POST', '?project=test', JSON.stringify({ name }));
  }

  async removeBucket(name: string): Promise<void> {
    await this.#ask('DELETE', `/${name}`);
  }

  async #ask(method: string, path: string, body?: string): Promise<void> {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${this.endpoint}/storage/v1/b${path}`, { method, headers, ...(body && { body }) });
    if (!answer.ok) throw new Error(`${method} of a bucket: ${answer.status} ${await answer.text()}`);
    await answer.arrayBuffer();
  }
}

export function startFakeGcsServer(dir: string): Promise<FakeGcsServer> {
  return FakeGcsServer.begin(dir);
}
