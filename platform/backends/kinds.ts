/** The kinds of backends that a rule may name: one line each. */

import * as z from 'zod';
import { type BackendKind, kind } from './kind.ts';

export const kinds: Readonly<Record<string, BackendKind>> = {
  memory: kind(z.strictObject({}), async (_, { name }) => new (await import('./memory.ts')).MemoryBackend(name)),
  noop: kind(z.strictObject({}), async (_, { name }) => new (await import('./noop.ts')).NoopBackend(name)),
};
