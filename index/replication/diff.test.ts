/** What `shoal replicate` asks of an index, over HTTP, with a registry as the remote. */

import { afterEach, expect, test } from 'vitest';
import { type DiffReply, REPLICATE } from '../../core/contracts/replicate/api.ts';
import { FakeRegistry } from '../../platform/backends/registry/fake.fixtures.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { HttpClient } from '../../platform/clients/http.ts';
import { createHttp, listen } from '../../platform/http/server.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { image } from '../backing/testing.fixtures.ts';
import { follower } from './testing.fixtures.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const soon = { timeout: 20_000, interval: 20 };
const [one, two] = [image('one'), image('two')];
const ctx = CallContext.begin();

async function world(rule: object = {}) {
  const hub = stack.use(await FakeRegistry.start());
  hub.pageMax = 3;
  const remotes = { hub: { url: hub.url, kind: 'registry' } };
  const at = await follower(stack, { remotes, rules: [{ to: 'hub', ...rule }] });
  const app = createHttp({ role: 'index', log: silentLog(), metrics: new Metrics(), readiness: async () => [] });
  at.addRoutes(app);
  const listening = stack.use(await listen(app, { host: '127.0.0.1', port: 0 }));
  const http = stack.use(new HttpClient({ base: `http://127.0.0.1:${listening.port}` }));
  const diff = async (repositories?: string): Promise<DiffReply[]> => {
    const steps: DiffReply[] = [];
    for (let from: string | undefined, more = true; more; more = from !== undefined) {
      const body = { remote: 'hub', repositories, from };
      const step = REPLICATE.diff.reply(await http.json('POST', REPLICATE.diff.path({}), { ctx, body }), 'it');
      steps.push(step);
      from = step.next;
    }
    return steps;
  };
  const differing = async (repositories?: string): Promise<string[]> =>
    (await diff(repositories)).flatMap(({ differences }) =>
      differences.map(({ how, repo, tag }) => `${how} ${repo}:${tag}`),
    );
  return { hub, at, http, diff, differing };
}

test('two that hold the same differ in nothing, page by page; each difference is told once, with both sides', async () => {
  const { hub, at, diff, differing } = await world();
  for (let i = 0; i < 25; i++) await at.push(`r${String(i).padStart(2, '0')}`, one, ['1', '2']);
  await expect.poll(() => at.depth(), soon).toBe(0);
  const steps = await diff();
  expect(steps.length).toBeGreaterThan(2);
  expect(steps.reduce((sum, { tags }) => sum + tags, 0)).toBe(50);
  expect(steps.flatMap(({ differences }) => differences)).toEqual([]);
  hub.repo('r03').tags.delete('1');
  hub.repo('r07').manifests.set(two.digest, Buffer.from(two.bytes));
  hub.repo('r07').tags.set('2', two.digest);
  hub.repo('r09').tags.set('3', one.digest);
  hub.repo('only/there').manifests.set(one.digest, Buffer.from(one.bytes));
  hub.repo('only/there').tags.set('x', one.digest);
  expect(await differing()).toEqual(['missing r03:1', 'digest r07:2', 'extra r09:3', 'extra only/there:x']);
  expect(await differing('r0*')).toEqual(['missing r03:1', 'digest r07:2', 'extra r09:3']);
  const [found] = (await diff()).flatMap(({ differences }) => differences).filter(({ how }) => how === 'digest');
  expect(found).toMatchObject({ here: { digest: one.digest }, there: { digest: two.digest }, waiting: false });
});

test('what the rules do not say is not compared; a write on its way is told as one', async () => {
  const { hub, at, diff, differing } = await world({ repositories: 'a/*', tags: 'v*' });
  await at.push('a/x', one, ['v1', 'dev']);
  await at.push('b', one, ['v1']);
  await expect.poll(() => at.depth(), soon).toBe(0);
  expect(await differing()).toEqual([]);
  hub.misdeed = ({ method }) => (method === 'HEAD' || method === 'GET' ? undefined : { status: 503 });
  await at.push('a/x', two, ['v1']);
  const [found] = (await diff()).flatMap(({ differences }) => differences);
  expect(found).toMatchObject({ how: 'digest', repo: 'a/x', tag: 'v1', waiting: true });
});

test('a remote that does not answer is no equal one; one that is not configured is named', async () => {
  const { hub, diff, http } = await world();
  hub.misdeed = () => ({ status: 503 });
  await expect(diff()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  const ask = http.json('POST', REPLICATE.backfill.path({}), { ctx, body: { remote: 'other' } });
  await expect(ask).rejects.toMatchObject({ code: 'REQUEST_INVALID', message: expect.stringContaining('hub') });
});

test('status tells what waits and why; a backfill sends what was lost there', async () => {
  const { hub, at, http, differing } = await world();
  const status = async () => {
    const read = REPLICATE.status.reply(await http.json('GET', REPLICATE.status.path({}), { ctx }), 'it');
    return read.remotes[0];
  };
  hub.misdeed = () => ({ status: 503 });
  await at.push('a', one, ['1']);
  await expect.poll(async () => (await status())?.down?.cause, soon).toBe('unavailable');
  expect(await status()).toMatchObject({ name: 'hub', waiting: 1, dead: 0 });
  hub.misdeed = () => undefined;
  await expect.poll(async () => (await status())?.waiting, soon).toBe(0);
  expect((await status())?.down).toBeUndefined();
  hub.repos.clear();
  expect(await differing()).toEqual(['missing a:1']);
  const body = { remote: 'hub' };
  const filled = await http.json('POST', REPLICATE.backfill.path({}), { ctx, body });
  expect(REPLICATE.backfill.reply(filled, 'it')).toEqual({ repositories: 1 });
  await expect.poll(() => hub.repo('a').tags.get('1'), soon).toBe(one.digest);
  expect(await differing()).toEqual([]);
});
