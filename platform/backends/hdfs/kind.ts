/** HDFS as a kind of backend. */

import { kind } from '../kind.ts';
import { hdfsSchema } from './config.ts';

export const hdfsKind = kind(hdfsSchema, async (settings, opening) => {
  const { HdfsBackend } = await import('./hdfs.ts');
  return new HdfsBackend(settings, opening);
});
