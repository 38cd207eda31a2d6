/**
 * What was deleted, pushed again by docker, skopeo and crane: within the grace of collection (the client is told that its layers
 * are there, and they stay), and after it (they are gone, and sent again).
 */

import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { ORIGIN } from '../../../core/contracts/origin.ts';
import type { Digest } from '../../../core/digest.ts';
import { OCI_PATHS } from '../../../core/oci/paths.ts';
import { Cluster } from '../../../platform/testing/cluster.ts';
import { freePort } from '../../../platform/testing/ports.ts';
import { type Parts, startParts } from '../../cluster.fixtures.ts';
import { startDocker } from '../engines.ts';
import { writeContext, writeDirImage } from '../image.ts';
import { run, temporary } from '../processes.ts';

const stack = new AsyncDisposableStack();
const patience = { timeout: 120_000, interval: 500 } as const;
/** Longer than any of them takes between its first question and its manifest. */
const graceMs = 10_000;
let parts: Parts;
let dir = '';
let proxy = '';
let docker: Awaited<ReturnType<typeof startDocker>>;

beforeAll(async () => {
  const cluster = stack.use(await Cluster.make());
  dir = await temporary(stack, 'graced');
  const listen = { host: '127.0.0.1', port: await freePort() };
  const index = { listen, gc: { grace: `${graceMs}ms`, every: '1s' }, keepUnlinked: '1s' };
  const asks = { index: [`http://${listen.host}:${listen.port}`] };
  const each = (name: string): object => (name.startsWith('origin') ? asks : {});
  [parts, docker] = await Promise.all([startParts(cluster, { index, each }), startDocker(stack)]);
  proxy = `127.0.0.1:${parts.proxy.ports['registry']}`;
  await writeDirImage(join(dir, 'skopeo'), [3 << 20]);
  await writeDirImage(join(dir, 'crane'), [2 << 20]);
  await run('skopeo', ['copy', '--insecure-policy', `dir:${join(dir, 'crane')}`, `oci:${join(dir, 'layout')}:1`]);
  await mkdir(join(dir, 'context'));
  await writeContext(join(dir, 'context'), [4 << 20]);
  await docker('build', '-q', '-t', 'built', join(dir, 'context'));
}, 120_000);
afterAll(() => stack.disposeAsync());

/** By its name, how each pushes its image as `repo:tag`. */
const CLIENTS = {
  docker: async (to: string) => {
    await docker('tag', 'built', `${proxy}/${to}`);
    return await docker('push', `${proxy}/${to}`);
  },
  skopeo: (to: string) =>
    run('skopeo', [
      'copy',
      '--insecure-policy',
      '--dest-tls-verify=false',
      `dir:${join(dir, 'skopeo')}`,
      `docker://${proxy}/${to}`,
    ]),
  crane: (to: string) => run('crane', ['push', '--insecure', join(dir, 'layout'), `${proxy}/${to}`]),
} as const;
const names = Object.keys(CLIENTS) as (keyof typeof CLIENTS)[];

type Pushed = { readonly repo: string; readonly manifest: Digest; readonly layer: Digest };
async function pushedBy(name: keyof typeof CLIENTS, tag: string): Promise<Pushed> {
  const repo = `team/${name}`;
  await CLIENTS[name](`${repo}:${tag}`);
  const answer = await fetch(`http://${proxy}${OCI_PATHS.manifest(repo, tag)}`);
  const { layers } = (await answer.json()) as { layers: { digest: Digest }[] };
  return { repo, manifest: answer.headers.get('docker-content-digest') as Digest, layer: layers[0]?.digest as Digest };
}
async function remove({ repo, manifest }: Pushed): Promise<void> {
  const gone = await fetch(`http://${proxy}${OCI_PATHS.manifest(repo, manifest)}`, { method: 'DELETE' });
  expect(gone.status).toBe(202);
}
const atOrigin = async ({ layer }: Pushed): Promise<number> => {
  const origin = parts.origins[0]?.url('api') as string;
  return (await fetch(origin + ORIGIN.head.path({ digest: layer }), { method: 'HEAD' })).status;
};
const pulls = async (pushed: Pushed, tag: string): Promise<void> => {
  const back = join(dir, `${pushed.repo.replace('/', '-')}-${tag}`);
  const from = `docker://${proxy}/${pushed.repo}:${tag}`;
  await run('skopeo', ['copy', '--insecure-policy', '--src-tls-verify=false', from, `dir:${back}`]);
  expect((await readFile(join(back, pushed.layer.slice('sha256:'.length)))).length).toBeGreaterThan(1 << 20);
};

test('within the grace the layers are there, and stay; after it they are gone, and are sent again', async () => {
  const first = await Promise.all(names.map((name) => pushedBy(name, '1')));
  await Promise.all(first.map(remove));
  const second = await Promise.all(names.map((name) => pushedBy(name, '2')));
  expect(second.map(({ layer }) => layer)).toEqual(first.map(({ layer }) => layer));
  // The grace of what was deleted ends, and it is looked for again and again.
  await new Promise((resolve) => setTimeout(resolve, graceMs + 3_000));
  expect(await Promise.all(second.map(atOrigin))).toEqual(names.map(() => 200));
  await Promise.all(second.map((pushed) => pulls(pushed, '2')));

  await Promise.all(second.map(remove));
  await vi.waitFor(async () => expect(await Promise.all(second.map(atOrigin))).toEqual(names.map(() => 404)), patience);
  const third = await Promise.all(names.map((name) => pushedBy(name, '3')));
  expect(await Promise.all(third.map(atOrigin))).toEqual(names.map(() => 200));
  await Promise.all(third.map((pushed) => pulls(pushed, '3')));
}, 300_000);
