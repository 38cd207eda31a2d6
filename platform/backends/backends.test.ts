import { expect, test } from 'vitest';
import { realClock } from '../net/clock.ts';
import { createLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { Backends } from './backends.ts';
import { backendsShape } from './config.ts';
import { bytesOf, sourceOf } from './objects.fixtures.ts';
import { backedAsRegistry, keyedAsRegistry } from './registry/keys.fixtures.ts';

const never = new AbortController().signal;
const open = (written: readonly object[]): Promise<Backends> =>
  Backends.open(backendsShape().parse(written), {
    log: createLog({ role: 'origin', level: 'silent', name: '' }),
    metrics: new Metrics(),
    env: {},
    clock: realClock,
    sharers: () => 1,
  });

test('the first rule that matches a repository wins; one that names none gets the rule for all', async () => {
  await using backends = await open([
    { repositories: 'team-a/secret', name: 'secret', memory: {}, durability: 'backend', required: true },
    { repositories: ['team-a/**', 'team-b/*'], name: 'teams', noop: {} },
    { name: 'rest', memory: {} },
  ]);
  const names = (...repos: (string | undefined)[]) => repos.map((repo) => backends.of(repo)?.name);
  expect(names('team-a/secret', 'team-a/x/y', 'team-b/x', 'team-b/x/y', undefined)).toEqual([
    ...['secret', 'teams', 'teams', 'rest', 'rest'],
  ]);
  expect(backends.of('team-a/secret')).toMatchObject({ durability: 'backend', required: true });
  expect(backends.named('teams')?.backend.kind).toBe('noop');
  expect(backends.all.map(({ name }) => name)).toEqual(['secret', 'teams', 'rest']);
});

test('where no rule matches there is none', async () => {
  await using backends = await open([{ repositories: 'team-a/**', name: 'a', memory: {} }]);
  expect([backends.of('library/app'), backends.of(undefined), backends.named('b')]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});

test('a backend holds what it was given; noop takes everything, and has nothing', async () => {
  await using backends = await open([
    { repositories: 'a', name: 'kept', memory: {} },
    { name: 'gone', noop: {} },
  ]);
  const source = sourceOf(Buffer.from('some bytes'));
  const [kept, gone] = [backends.named('kept')!, backends.named('gone')!];
  const key = kept.blobKey(source.digest);
  for (const { backend } of [kept, gone]) await backend.write(key, source, never);
  expect(String(await bytesOf(kept.backend.read(key, { start: 5, end: 10 }, never)))).toBe('bytes');
  expect(await gone.backend.stat(key, never)).toBeUndefined();
  await expect(gone.backend.write(key, { ...source, size: 11 }, never)).rejects.toMatchObject({ why: 'damaged' });
});

test('a backend that tells repositories apart is asked for none but those that are named', async () => {
  const upstream = backedAsRegistry(keyedAsRegistry('up'), { durability: 'origins', required: false });
  await using backends = new Backends([{ patterns: ['**'], backed: upstream }]);
  expect([backends.of('a')?.name, backends.of(undefined), backends.owedOf(undefined)]).toEqual(['up', ...Array(2)]);
});

test.each([
  [{ memory: {}, tags: { http: { download: 'https://files/%s' } } }, 'tags.http', 'http holds blobs only'],
  [{ sql: { sqlite: { file: '/x' } } }, 'sql', 'sql holds tags only: say it in the `tags` of a rule'],
])('of a kind in the wrong place it is said what it holds: %o', (rule, path, message) => {
  const { error } = backendsShape().safeParse([{ name: 'main', ...rule }]);
  expect(error?.issues.map((issue) => [issue.path.slice(1).join('.'), issue.message])).toEqual([
    [path, expect.stringContaining(message)],
  ]);
});

test('what nobody needs is deleted only where the rule says so, and where it may be', async () => {
  await using backends = await open([
    { repositories: 'a', name: 'deletes', memory: {}, delete: true, shared: false },
    { name: 'keeps', memory: {} },
  ]);
  expect(backends.all.map(({ deletes }) => deletes)).toEqual([true, false]);
  const problem = (more: object): unknown => {
    const { error } = backendsShape().safeParse([{ name: 'a', delete: true, ...more }]);
    return error?.issues.map(({ path, message }) => [path.join('.'), message]);
  };
  const [file, registry] = [{ directory: '/x' }, { address: 'a.b' }];
  expect(problem({ file })).toBeUndefined();
  expect(problem({ file, shared: true })).toEqual([['0.delete', expect.stringContaining('`shared`')]]);
  expect(problem({ file, readOnly: true })).toEqual([['0.delete', expect.stringContaining('`readOnly`')]]);
  expect(problem({ registry })).toEqual([['0.delete', expect.stringContaining('of kind registry')]]);
});
