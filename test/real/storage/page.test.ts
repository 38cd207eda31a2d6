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

/** Settings of which no server here knows anything, or that name a file of the reader's. */
const leftOut: Readonly<Record<string, readonly string[]>> = {
  http: ['auth', 'ca', 'clientCertificate'],
  s3: ['ca', 'encryption', 'storageClass'],
  gcs: ['ca'],
  azure: ['ca'],
};
const repo = 'library/app';
const sections = sectionsOf('backends.md').filter(({ blocks }) => blocks.length > 0);

/** The rule of the page at the server's place. */
function placed(written: Settings, { rule }: StorageServer): Settings {
  const others = Object.entries(written).filter(([key]) => !(key in kinds) && !(key in rule));
  const own = Object.entries(rule).map(([key, value]): [string, unknown] => {
    const said = written[key];
    if (typeof value !== 'object' || value === null || typeof said !== 'object') return [key, value];
    const kept = Object.entries({ ...said, ...value }).filter(([setting]) => !leftOut[key]?.includes(setting));
    return [key, Object.fromEntries(kept)];
  });
  return Object.fromEntries([...others, ...own]);
}

async function opened(block: string, server: StorageServer): Promise<Backends> {
  const { backends: written } = parse(block) as { backends: Settings[] };
  const yaml = stringify({ backends: written.map((rule) => placed(rule, server)) });
  const env = { ...environmentOf(yaml), ...server.env };
  const rules = rulesOf({ name: 'origin', schema: originSchema }, yaml, env);
  const quiet = { log: createLog({ role: 'check', level: 'silent', name: '' }), metrics: new Metrics() };
  return await Backends.open(rules, { ...quiet, env, clock: realClock, sharers: () => 1 });
}

/** Writes a blob, or has it written where the kind writes none, and reads it. */
async function showBlob({ backend, blobKey, writes }: Backed, server: StorageServer): Promise<void> {
  const bytes = randomBytes(3_000_000);
  const source = sourceOf(bytes);
  const key = blobKey(source.digest, repo);
  if (writes) await backend.write(key, source, never);
  else await server.fill?.(bytes);
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
    for (const backed of backends.all) {
      await backed.backend.probe(never);
      if (backed.tags !== backed.backend) await backed.tags?.probe(never);
      await showBlob(backed, server);
    }
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
