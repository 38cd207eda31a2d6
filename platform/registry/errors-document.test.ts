/** docs/errors.md and core/contracts/errors.ts say the same, in both directions. */

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ERRORS } from '../../core/contracts/errors.ts';

test('docs/errors.md lists exactly the codes of the catalogue, with their status and meaning', () => {
  const text = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
  const documented = [...text.matchAll(/^## (\w+)\n\n\*\*(\d{3})\*\*: (.+)\.$/gm)].map(
    ([, code, status, means]) => [code, { status: Number(status), means }] as const,
  );
  expect(text.match(/^## /gm)?.length).toBe(documented.length);
  expect(documented).toEqual(Object.entries(ERRORS));
});
