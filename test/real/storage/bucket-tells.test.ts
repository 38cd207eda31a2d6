/**
 * Two index processes on one bucket: what is pushed is written back to another bucket, sent to another cluster, and told to a
 * receiver of events, though one of them is killed, and stopped, meanwhile.
 */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { diffRemote } from '../../../cli/commands/replicate.ts';
import { QUEUE } from '../../../core/contracts/queue.ts';
import { Cluster } from '../../../platform/testing/cluster.ts';
import { madeImage, pushImage, removeTag } from '../../images.fixtures.ts';
import { ReplicatedSite } from '../../replicated.fixtures.ts';
import { byLength } from '../short.ts';
import type { S3Server } from './servers/s3.ts';
import { started } from './servers/server.ts';
import { startVersitygw } from './servers/versitygw.ts';

const tags = byLength({ short: 18, usual: 60, long: 500 });
const soon = { timeout: 150_000, interval: 250 } as const;
const host = '127.0.0.1';
const prefix = 'registry';
const stack = new AsyncDisposableStack();
/** As tags and events say it. */
const told: string[] = [];

let server: S3Server;
let here: ReplicatedSite;
let there: ReplicatedSite;

async function receiver(): Promise<string> {
  const web = createServer(async (request, answer) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    for (const { action, target } of JSON.parse(String(Buffer.concat(chunks))).events) {
      if (target.tag !== undefined) told.push(`${action} ${target.tag} ${target.digest ?? ''}`.trim());
    }
    answer.end();
  });
  await new Promise<void>((resolve) => web.listen(0, host, resolve));
  stack.defer(() => void web.close());
  return `http://${host}:${(web.address() as AddressInfo).port}/`;
}

beforeAll(async () => {
  server = await started(stack, startVersitygw);
  const cluster = stack.use(await Cluster.make());
  const { s3 } = server.rule;
  const main = { name: 'main', s3: { ...s3, prefix } };
  here = await ReplicatedSite.place(cluster, 'here', { indexes: 2, store: { kind: 'bucket', backend: 'store' } });
  there = await ReplicatedSite.place(cluster, 'there');
  here.backends = { index: [{ name: 'store', repositories: [], s3 }, main], origin: [main] };
  here.events = { endpoints: [{ name: 'ci', url: await receiver(), repositories: ['team/**'] }] };
  const rules = [{ repositories: 'team/**', to: 'there', deletes: true }];
  here.replicate = { remotes: { there: there.remote }, rules };
  await Promise.all([here.start(), there.start()]);
}, 300_000);
afterAll(() => stack.disposeAsync());

const secondUrl = (): string => here.part('index', 1).url('api');

async function differing(): Promise<string> {
  const lines: string[] = [];
  const asking = { index: secondUrl(), json: false, signal: new AbortController().signal };
  await diffRemote({ remote: 'there', repositories: 'team/**' }, asking, (line) => lines.push(line)).catch(
    () => undefined,
  );
  return lines.at(-1) ?? '';
}

async function waiting(): Promise<unknown> {
  return (await (await fetch(secondUrl() + QUEUE.list.path({ n: 100 }))).json()) as unknown;
}

/** Tags as a registry on the other bucket would have them. */
async function written(): Promise<string[]> {
  const client = server.client();
  const { Contents = [] } = await client.send(
    new ListObjectsV2Command({ Bucket: server.rule.s3.bucket, Prefix: prefix }),
  );
  client.destroy();
  return Contents.flatMap(({ Key = '' }) => /_manifests\/tags\/([^/]+)\/current\/link$/.exec(Key)?.[1] ?? []);
}

test(`${tags} tags are written back, sent on, and told, whatever becomes of one of two indexes`, async () => {
  const proxy = { url: () => here.proxyUrl };
  const images = [madeImage([200_000, 200]), madeImage([100])];
  const of = (no: number) => images[no % 2] as (typeof images)[number];
  const part = (n: number): number => Math.floor((n * tags) / 4);
  for (let no = 0; no < tags; no++) {
    if (no === part(1)) await here.kill('index');
    if (no === part(2)) await here.startOne('index', 0);
    if (no === part(2)) here.part('index', 1).hang();
    if (no === part(3)) here.part('index', 1).wake();
    await pushImage(proxy, 'team/app', of(no), [`t${no}`]);
    await pushImage(proxy, 'team/app', of(no + 1), ['latest']);
  }
  await removeTag(proxy, 'team/app', 't0');
  await vi.waitFor(async () => expect(await differing()).toBe(`1 repositories, ${tags} tags: all the same`), soon);
  await vi.waitFor(async () => expect(await waiting()).toEqual({ rows: [] }), soon);
  expect(await written()).toEqual(
    expect.arrayContaining(['latest', ...Array.from({ length: tags - 1 }, (_, no) => `t${no + 1}`)]),
  );
  for (let no = 0; no < tags; no++) expect(told).toContain(`push t${no} ${of(no).digest}`);
  expect(told).toContain('delete t0');
  // Each write of one tag once, in their order, but for what was told twice.
  const latest = told.filter((line) => line.startsWith('push latest'));
  expect(latest.length).toBeGreaterThanOrEqual(tags);
  expect(latest.at(-1)).toBe(`push latest ${of(tags).digest}`);
}, 400_000);
