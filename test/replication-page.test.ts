/** docs/replication.md is true: its configurations pass `shoal config check`, and it has every metric and setting that there is. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { indexSchema } from '../index/config.ts';
import { replicationMetrics } from '../index/replication/metrics.ts';
import { loadConfig } from '../platform/config/load.ts';
import { Metrics } from '../platform/telemetry/metrics.ts';
import { proxySchema } from '../proxy/config.ts';

const page = readFileSync(new URL('../docs/replication.md', import.meta.url), 'utf8');
const blocks = [...page.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, block = '']) => block);
const ofIndex = blocks.filter((block) => /^replicate:/m.test(block));
const dir = mkdtempSync(join(tmpdir(), 'shoal-page-'));
afterAll(() => rmSync(dir, { recursive: true }));

test.each(ofIndex.map((block, no) => ({ no, block })))('block $no is a configuration of an index', ({ block }) => {
  const { replicationSecret: _, proxy, ...said } = parse(block) as Record<string, unknown>;
  const file = join(dir, 'index.yaml');
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ role: 'index', data: dir, origins: ['http://127.0.0.1:15002'], ...said }));
  const { config } = loadConfig({ file, env: {}, schema: indexSchema });
  expect(config.replicate?.rules.length).toBeGreaterThan(0);
  const ofProxy = (proxy as { config?: object } | undefined)?.config;
  if (ofProxy !== undefined) expect(proxySchema.parse({ role: 'proxy', ...ofProxy }).replication.receive).toBeDefined();
});

test.each(blocks.filter((block) => /^replication:/m.test(block)))('it has a configuration of a proxy: %s', (block) => {
  const file = join(dir, 'proxy.yaml');
  writeFileSync(file, `role: proxy\n${block}`);
  const { config } = loadConfig({ file, env: {}, schema: proxySchema });
  expect(config.replication.receive?.tokens).toHaveLength(1);
});

test('every metric is on it', async () => {
  const metrics = new Metrics();
  replicationMetrics(metrics)('x');
  const names = [...(await metrics.text()).matchAll(/^# TYPE (shoal_\w+)/gm)].map(([, name = '']) => name);
  expect(names.length).toBeGreaterThan(5);
  expect(names.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});
