/**
 * Every route of core/contracts is somebody's: where processes show certificates, a door that serves one that is not in
 * core/access/table.ts does not open.
 */

import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ACCESS } from '../../core/access/table.ts';

test('every route that anybody serves is in the table', async () => {
  const inTable = new Set(
    Object.values(ACCESS).flatMap((entries) => entries.map(([{ method, pattern }]) => `${method} ${pattern}`)),
  );
  const lacking: string[] = [];
  let found = 0;
  const folder = new URL('../../core/contracts/', import.meta.url);
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || /\.(test|fixtures)\.ts$/.test(file)) continue;
    for (const exported of Object.values(await import(new URL(file, folder).href)))
      for (const one of typeof exported === 'object' && exported !== null ? Object.values(exported) : []) {
        if (typeof one !== 'object' || one === null || !('pattern' in one && 'matches' in one)) continue;
        found++;
        const { method, pattern } = one as { method: string; pattern: string };
        if (!inTable.has(`${method} ${pattern}`)) lacking.push(`${file}: ${method} ${pattern}`);
      }
  }
  expect(found).toBeGreaterThan(80);
  expect(lacking, 'give these an entry in core/access/table.ts').toEqual([]);
});
