/**
 * docs/backends.md is true: every configuration in it (in docs/storage.md and docs/import.md as well) passes `shoal config check`, every kind has
 * a section with one, and its table says what the code says.
 */

import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { indexSchema } from '../index/config.ts';
import { originSchema } from '../origin/config.ts';
import type { Backend } from '../platform/backends/backend.ts';
import { kindNamed, kinds } from '../platform/backends/kinds.ts';
import { ConfigError } from '../platform/config/load.ts';
import { realClock } from '../platform/net/clock.ts';
import { createLog } from '../platform/telemetry/log.ts';
import { Metrics } from '../platform/telemetry/metrics.ts';
import { abilities, environmentOf, rulesOf, sectionsOf } from './backends-page.fixtures.ts';

const kindNames = Object.keys(kinds);
const roles = [
  { name: 'origin', schema: originSchema },
  { name: 'index', schema: indexSchema },
];
const [origin] = roles as [(typeof roles)[0]];
const sections = new Map(sectionsOf('backends.md').map(({ title, blocks }) => [title, blocks]));
const all = ['backends.md', 'storage.md', 'import.md'].flatMap((page) =>
  sectionsOf(page).flatMap(({ title, blocks }) => blocks.map((block, n) => ({ page, title, n, block }))),
);

test('each kind has a section with a configuration, and a row of the table; nothing else has', () => {
  expect([...sections].filter(([, blocks]) => blocks.length > 0).map(([title]) => title)).toEqual(kindNames.toSorted());
  expect([...abilities().keys()]).toEqual(kindNames.toSorted());
});

describe.each(all)('$page, $title, block $n', ({ page, title, block }) => {
  test.each(roles)('is a configuration of $name', (role) => {
    const rules = rulesOf(role, block);
    expect(rules.length).toBeGreaterThan(0);
    if (page === 'backends.md') expect(rules.flatMap(({ kind, tags }) => [kind, tags?.kind])).toContain(title);
  });
});

test('what a block says is looked at: a setting that there is not is refused', () => {
  const [block = ''] = sections.get('file') ?? [];
  expect(() => rulesOf(origin, block.replace('directory:', 'folder:'))).toThrow(ConfigError);
});

/** Without a server to be let into, or of others' settings. */
const secretless = ['memory', 'noop', 'shadow'];

test("the chart's page says of each kind where its secrets are", () => {
  const page = readFileSync(new URL('../helm/README.md', import.meta.url), 'utf8');
  const [, table = ''] = page.split('### Secrets of backends');
  const told = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, kind]) => kind);
  expect(told.toSorted()).toEqual(kindNames.filter((kind) => !secretless.includes(kind)).toSorted());
});

test.each(['docs/backends.md', 'docs/storage.md', 'docs/import.md', 'helm/README.md'])(
  '%s: no empty line breaks a table in two',
  (page) => {
    const lines = readFileSync(new URL(`../${page}`, import.meta.url), 'utf8').split('\n');
    const row = (n: number): boolean => lines[n]?.startsWith('|') === true;
    const first = lines.flatMap((_, n) => (row(n) && !row(n - 1) ? [n] : []));
    expect(first.length).toBeGreaterThan(0);
    expect(first.filter((n) => lines[n + 1]?.startsWith('|---') !== true)).toEqual([]);
  },
);

describe.each(kindNames)('the table: %s', (name) => {
  const stack = new AsyncDisposableStack();
  afterAll(() => stack.disposeAsync());

  /** Opened as its section says; that reaches nobody. */
  async function opened(block = sections.get(name)?.[0] ?? ''): Promise<Backend> {
    const env = environmentOf(block);
    const [rule] = rulesOf(origin, block, env);
    const settings = rule?.tags?.kind === name ? rule.tags.settings : rule?.settings;
    const quiet = { log: createLog({ role: 'check', level: 'silent', name: '' }), metrics: new Metrics() };
    const opening = { name, stallMs: 1_000, env, clock: realClock, ...quiet };
    return stack.use(await kindNamed(name).open(settings, opening));
  }

  test('says whether it sends readers away', async () => {
    const { presign } = await opened(sections.get(name)?.find((block) => block.includes('redirect:')));
    expect(abilities().get(name)?.['redirects']).toBe(presign === undefined ? 'no' : 'yes');
  });

  test('says what it holds and what it can do', async () => {
    const row = abilities().get(name);
    const { can } = await opened();
    const said = (cell: string | undefined, is: boolean): unknown =>
      ['found out', 'as believed'].includes(cell ?? '') ? cell : is ? 'yes' : 'no';
    expect(row).toMatchObject({
      holds: kindNamed(name).holds,
      write: said(row?.['write'], can.writes),
      list: said(row?.['list'], can.list),
      conditions: said(row?.['conditions'], can.conditions),
      records: said(row?.['records'], can.records),
    });
    const signing = (sections.get(name) ?? []).filter((block) => /\bredirect:/.test(block));
    const signs = await Promise.all(signing.map(async (block) => (await opened(block)).presign !== undefined));
    expect(row?.['redirects']).toBe(signs.includes(true) ? 'yes' : 'no');
    for (const [column, cell] of Object.entries(row ?? {})) if (column !== '') expect(cell, column).not.toBe('');
  });
});
