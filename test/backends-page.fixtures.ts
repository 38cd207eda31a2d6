/** docs/backends.md as a value: what stands in its table, and the blocks of YAML of each kind's section. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as z from 'zod';
import type { BackendRule } from '../platform/backends/config.ts';
import { loadConfig } from '../platform/config/load.ts';
import type { Env } from '../platform/config/yaml.ts';

export type PageSection = { readonly title: string; readonly blocks: readonly string[] };

const docs = new URL('../docs/', import.meta.url);

/** The blocks of YAML that name backends, by the section (`## …`) in which they stand. */
export function sectionsOf(page: string): PageSection[] {
  const [, ...sections] = readFileSync(new URL(page, docs), 'utf8').split(/^## /m);
  return sections.map((text) => ({
    title: text.slice(0, text.indexOf('\n')),
    blocks: [...text.matchAll(/^```yaml\n(.*?)^```/gms)]
      .map(([, block = '']) => block)
      .filter((block) => /^backends:/m.test(block)),
  }));
}

/** The table of what each kind can do: by kind, each cell by its column's title. */
export function abilities(): Map<string, Readonly<Record<string, string>>> {
  const lines = readFileSync(new URL('backends.md', docs), 'utf8').split('\n');
  const [titles = [], , ...rows] = lines
    .slice(lines.findIndex((line) => line.startsWith('| kind |')))
    .slice(0, 50)
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|').map((cell) => cell.trim()));
  return new Map(
    rows.map((cells) => [
      (cells[1] ?? '').replaceAll('`', ''),
      Object.fromEntries(titles.map((title, column) => [title, cells[column] ?? ''])),
    ]),
  );
}

/** The rules of `yaml`, as `shoal config check` reads them of a role; throws what that would print. */
export function rulesOf(
  { name, schema }: { readonly name: string; readonly schema: z.ZodType },
  yaml: string,
  env: Env = environmentOf(yaml),
): readonly BackendRule[] {
  const dir = mkdtempSync(join(tmpdir(), 'shoal-page-'));
  try {
    const file = join(dir, `${name}.yaml`);
    writeFileSync(file, `role: ${name}\n${yaml}`);
    const { config } = loadConfig({ file, env, schema: schema as z.ZodType<{ backends: readonly BackendRule[] }> });
    return config.backends;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** Something for each variable that `yaml` takes from the environment. */
export function environmentOf(yaml: string): Record<string, string> {
  return Object.fromEntries([...yaml.matchAll(/\$\{(\w+)\}/g)].map(([, name = '']) => [name, `of-${name}`]));
}
