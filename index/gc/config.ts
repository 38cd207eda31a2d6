/** What an index's configuration says of what goes by itself (docs/gc.md). Origins ask the index. */

import * as z from 'zod';
import { repositoryPatternValid } from '../../core/oci/pattern.ts';
import type { BackendRule } from '../../platform/backends/config.ts';
import { blobRepository } from '../../platform/clients/registry/ref.ts';
import { duration } from '../../platform/config/units.ts';

const rateMax = 100_000;
const patternsMax = 1_000;

const pattern = z
  .string()
  .refine(repositoryPatternValid, 'is no pattern of a repository: a name, `*` within a part of it, `**` for any');

export const gcShape = () =>
  z
    .strictObject({
      /** Whether anything goes by itself. */
      enabled: z.boolean().prefault(true),
      /**
       * What nothing refers to for so long goes; pushes that are under way take less. Never less than `keepUnlinked`, after
       * which it may go where room is needed.
       */
      grace: duration('24h', { min: '1s', why: 'as a push takes longer' }),
      /** Repositories, by pattern, whose blobs stay though no manifest refers to them. */
      keep: z.array(pattern).max(patternsMax).prefault([blobRepository]),
      /** How often it is looked for, by the index and each origin. */
      every: duration('1h', { min: '1s', why: 'as it costs a walk through all blobs' }),
      /** Blobs that each origin asks about in a second at most, and links that go in one. */
      rate: z.int().min(1).max(rateMax).prefault(1_000),
    })
    .prefault({});

export type GcSettings = z.output<ReturnType<typeof gcShape>>;

type Beside = {
  readonly store: { readonly kind: string };
  readonly backends: readonly Pick<BackendRule, 'deletes' | 'name'>[];
  readonly origins?: readonly unknown[] | undefined;
};

/** Why a backend may not have deleted what nobody needs, though its rule alone is right. */
export function deleteProblems({ store, backends, origins }: Beside) {
  const why =
    store.kind === 'bucket'
      ? 'a store that is a bucket does not know what was linked once, so nothing is deleted from backends: take PostgreSQL, or SQLite, for that'
      : origins === undefined
        ? 'origins are asked what they hold of it: name them in `origins`, as the proxies do'
        : undefined;
  if (why === undefined) return [];
  return backends.flatMap(({ deletes }, i) => (deletes ? [{ path: ['backends', i, 'delete'], message: why }] : []));
}
