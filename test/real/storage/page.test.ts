/**
 * Every configuration of docs/backends.md works against a real server of its kind: what names the place and the secrets is
 * replaced by the server's own, what no server here has is left out, and all else stays as the page has it.
 */

import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { originSchema } from '../../../origin/config.ts';
import { type Backed, Backends } from '../../../platform/backends/backends.ts';
import { kinds } from '../../../platform/backends/kinds.ts';
import { bytesOf, never, sourceOf } from '../../../platform/backends/objects.fixtures.ts';
import { realClock } from '../../../platform/net/clock.ts';
import { createLog } from '../../../platform/telemetry/log.ts';
import { Metrics } from '../../../platform/telemetry/metrics.ts';
import { abilities, environmentOf, rulesOf, sectionsOf } from '../../backends-page.fixtures.ts';
import { storageServers, withoutServer } from './servers/all.ts';
import { type StorageServer, started } from './servers/server.ts';

type Settings = Readonly<Record<string, unknown>>;

/** Settings that name a file of the reader's, of any kind. */
const files = ['ca', 'clientCertificate'];
/** Settings of which no server here knows anything. */
const leftOut: Readonly<Record<string, readonly string[]>> = {
  http: ['auth'],
  hdfs: ['https', 'delegationToken'],
  s3: ['encryption', 'storageClass'],
  registry: ['credentials', 'namespace'],
};
const sections = sectionsOf('backends.md').filter(({ blocks }) => blocks.length > 0);

/** The rule of the page at the server's place. */
function placed(written: Settings, { rule }: StorageServer): Settings {
  const others = Object.entries(written).filter(([key]) => !(key in kinds) && !(key in rule));
  const own = Object.entries(rule).map(([key, value]): [string, unknown] => {
    const said = written[key];
    if (typeof value !== 'object' || value === null || typeof said !== 'object') return [key, value];
    const kept = Object.entries({ ...said, ...value }).filter(
      ([setting]) => setting in value || ![...files, ...(leftOut[key] ?? [])].includes(setting),
    );
    return [key, Object.fromEntries(kept)];
  });
  // Where the page has tags apart, and the server says nothing of them, any place will do.
  const tags = 'tags' in written && !('tags' in rule) ? { tags: { memory: {} } } : {};
  return { ...Object.fromEntries([...others, ...own]), ...tags };
}

async function opened(block: string, server: StorageServer, more: Settings = {}): Promise<Backends> {
  const { backends: written } = parse(block) as { backends: Settings[] };
  const yaml = stringify({ backends: written.map((rule) => ({ ...placed(rule, server), ...more })) });
  const env = { ...environmentOf(yaml), ...server.env };
  const rules = rulesOf({ name: 'origin', schema: originSchema }, yaml, env);
  const quiet = { log: createLog({ role: 'check', level: 'silent', name: '' }), metrics: new Metrics() };
  return await Backends.open(rules, { ...quiet, env, clock: realClock, sharers: () => 1 });
}

/** A repository of the first rule. */
function repositoryOf(block: string): string {
  const { backends } = parse(block) as { backends: { repositories?: string | string[] }[] };
  const [pattern = '**'] = [backends[0]?.repositories ?? '**'].flat();
  return pattern.replace('**', 'library/app').replaceAll('*', 'some');
}

/** Writes a blob, or has it written where the rule writes none, and reads it. */
async function showBlob(block: string, { backend, blobKey }: Backed, server: StorageServer): Promise<void> {
  const bytes = randomBytes(3_000_000);
  const source = sourceOf(bytes);
  const key = blobKey(source.digest, repositoryOf(block));
  if (server.fill === undefined) {
    await using writing = await opened(block, server, { readOnly: false });
    await writing.all[0]?.backend.write(key, source, never);
  } else await server.fill(bytes);
  const found = await backend.stat(key, never);
  expect(found).toMatchObject({ size: bytes.length });
  const read = await bytesOf(backend.read(key, { start: 1, end: bytes.length, version: found?.version }, never));
  expect(read.equals(bytes.subarray(1))).toBe(true);
}

test('there is a server for each kind', () => {
  const served = [...Object.values(storageServers).map(({ kind }) => kind), ...withoutServer];
  expect([...new Set(served)].toSorted()).toEqual(Object.keys(kinds).toSorted());
});

const all = sections.flatMap(({ title, blocks }) =>
  Object.entries(storageServers)
    .filter(([, { kind }]) => kind === title)
    .map(([name, { start }]) => ({ title, blocks, name, start })),
);
describe.each(all)('$title: $name', ({ title, blocks, start }) => {
  const stack = new AsyncDisposableStack();
  let server: StorageServer;
  beforeAll(async () => {
    server = await started(stack, start);
  });
  afterAll(() => stack.disposeAsync());

  test.each(blocks.map((block, n) => ({ n, block })))('block $n', async ({ block }) => {
    await using backends = await opened(block, server);
    const [backed] = backends.all;
    if (backed === undefined) throw new Error('the block has no rule');
    await backed.backend.probe(never);
    if (backed.tags !== backed.backend) await backed.tags?.probe(never);
    await showBlob(block, backed, server);
  });

  test('what its probe finds is what the table says', async () => {
    await using backends = await opened(blocks[0] ?? '', server);
    const [backed] = backends.all;
    const own = title in server.rule ? backed?.backend : backed?.tags;
    await own?.probe(never);
    const row = abilities().get(title);
    for (const ability of ['conditions', 'list'] as const)
      if (row?.[ability] === 'yes' || row?.[ability] === 'no')
        expect(own?.can[ability] ? 'yes' : 'no', ability).toBe(row[ability]);
  });
});
