/** The time that a process is given to stop is said in one value: what the roles reckon with is what is granted. */

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { stopMsDefault } from '../cli/cluster/supervisor.ts';
import { commonShape, ROLES, shutdownMsDefault } from '../platform/config/common.ts';

const root = new URL('../', import.meta.url);
const text = (path: string): string => readFileSync(new URL(path, root), 'utf8');

test.each(ROLES)('%s: its default is that of the chart', (role) => {
  const { shutdown } = z.object(commonShape(role)).parse({ role });
  expect(shutdown).toBe(shutdownMsDefault);
  expect((parse(text('helm/shoal/values.yaml')) as { shutdownSeconds: number }).shutdownSeconds * 1000).toBe(shutdown);
});

test('the chart tells pods and processes the same value', () => {
  const helpers = text('helm/shoal/templates/_helpers.tpl');
  expect(helpers).toContain('terminationGracePeriodSeconds: {{ $.Values.shutdownSeconds }}');
  expect(helpers).toContain('"shutdown" (printf "%ds" (int $.Values.shutdownSeconds))');
});

test('the examples and `shoal up` grant it too', () => {
  expect((parse(text('examples/cluster/common.yaml')) as { shutdown: string }).shutdown).toBe(
    `${shutdownMsDefault / 1000}s`,
  );
  expect(stopMsDefault).toBeGreaterThan(shutdownMsDefault);
});
