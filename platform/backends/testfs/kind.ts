/** Kraken's example file server as a kind of backend. */

import { kind } from '../kind.ts';
import { testfsSchema } from './config.ts';

export const testfsKind = kind(testfsSchema, async (settings, opening) => {
  const { TestfsBackend } = await import('./testfs.ts');
  return new TestfsBackend(settings, opening);
});
