/** A blob whose file on the only origin was damaged, as skopeo, crane and curl meet it: they push, and it is there. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readdirSync, readFileSync, statSync, truncateSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../cluster.ts';
import { writeDirImage } from '../image.ts';
import { run, temporary } from '../processes.ts';

const stack = new AsyncDisposableStack();
let cluster: Cluster;
let dir = '';
let images = 0;

type Image = { readonly layout: string; readonly layer: string };

beforeAll(async () => {
  dir = await temporary(stack, 'damaged');
  cluster = await startCluster(stack, 1);
});
afterAll(() => stack.disposeAsync());

/** A fresh image of one layer of its own, as an OCI layout. */
async function image(): Promise<Image> {
  const made = join(dir, `image-${images++}`);
  await writeDirImage(`${made}-dir`, [(2 + images) << 20]);
  const layout = `${made}-oci`;
  await run('skopeo', ['copy', '--insecure-policy', `dir:${made}-dir`, `oci:${layout}:1`]);
  const blobs = readdirSync(join(layout, 'blobs/sha256'));
  const size = (name: string): number => statSync(join(layout, 'blobs/sha256', name)).size;
  return { layout, layer: blobs.sort((a, b) => size(b) - size(a))[0] as string };
}

function fileOf(hex: string): string {
  const folder = join(cluster.dir, 'data/data/origin/blobs/sha256', hex.slice(0, 2));
  return join(folder, readdirSync(folder).find((name) => name.startsWith(`${hex}.`)) as string);
}

function overwrite(path: string, bytes: Buffer, at: number): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, bytes.length, at);
  closeSync(fd);
}

const accidents: Record<string, (path: string) => void> = {
  truncated: (path) => truncateSync(path, 10),
  removed: (path) => unlinkSync(path),
  zeros: (path) => overwrite(path, Buffer.alloc(statSync(path).size), 0),
  flipped: (path) => overwrite(path, Buffer.from([(readFileSync(path)[5] as number) ^ 1]), 5),
};

const curl = (...args: string[]): Promise<string> => run('curl', ['-s', '--max-time', '20', ...args]);
const status = (...args: string[]): Promise<string> => curl('-o', join(dir, 'body'), '-w', '%{http_code}', ...args);
const blobUrl = (at: string, repo: string, hex: string): string => `http://${at}/v2/${repo}/blobs/sha256:${hex}`;

async function served(at: string, repo: string, hex: string): Promise<boolean> {
  const code = await status(blobUrl(at, repo, hex)).catch(() => 'cut');
  return (
    code === '200' &&
    createHash('sha256')
      .update(readFileSync(join(dir, 'body')))
      .digest('hex') === hex
  );
}

describe.each(Object.keys(accidents))('a layer whose file was %s', (accident) => {
  const spoil = (hex: string): void => accidents[accident]?.(fileOf(hex));

  test('skopeo copies it again', async () => {
    const { layout, layer } = await image();
    const repo = `skopeo/${accident}`;
    const to = `docker://${cluster.proxy}/${repo}:1`;
    const copy = (): Promise<string> =>
      run('skopeo', ['copy', '--insecure-policy', '--dest-tls-verify=false', `oci:${layout}:1`, to]);
    await copy();
    spoil(layer);
    expect(await status('-I', blobUrl(cluster.proxy, repo, layer))).toBe('404');
    await copy();
    expect(await served(cluster.proxy, repo, layer)).toBe(true);
    expect(await served(cluster.agents[0] as string, repo, layer)).toBe(true);
  });

  test.each(['1', '2'])('crane pushes it again as :%s, and curl into an upload of its own', async (tag) => {
    const { layout, layer } = await image();
    const repo = `crane/${accident}-${tag}`;
    const push = (tag: string): Promise<string> =>
      run('crane', ['push', '--insecure', layout, `${cluster.proxy}/${repo}:${tag}`]);
    await push('1');
    spoil(layer);
    await push(tag);
    expect(await served(cluster.proxy, repo, layer)).toBe(true);
    spoil(layer);
    const headers = await curl(
      '-D',
      '-',
      '-o',
      join(dir, 'none'),
      '-X',
      'POST',
      `http://${cluster.proxy}/v2/${repo}/blobs/uploads/`,
    );
    const location = /^location: (\S+)/im.exec(headers)?.[1] ?? '';
    const url = new URL(location, `http://${cluster.proxy}`);
    url.searchParams.set('digest', `sha256:${layer}`);
    const blob = `@${join(layout, 'blobs/sha256', layer)}`;
    expect(
      await status('-X', 'PUT', '-H', 'content-type: application/octet-stream', '--data-binary', blob, `${url}`),
    ).toBe('201');
    expect(await served(cluster.proxy, repo, layer)).toBe(true);
  });

  test('who asks an agent for it hears within seconds that it is nowhere', async () => {
    const { layout, layer } = await image();
    const repo = `agents/${accident}`;
    const to = `docker://${cluster.proxy}/${repo}:1`;
    await run('skopeo', ['copy', '--insecure-policy', '--dest-tls-verify=false', `oci:${layout}:1`, to]);
    spoil(layer);
    const beganMs = performance.now();
    expect(await served(cluster.agents[0] as string, repo, layer)).toBe(false);
    expect(performance.now() - beganMs).toBeLessThan(15_000);
  });
});
