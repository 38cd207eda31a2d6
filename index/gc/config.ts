/** What an index's configuration says of what goes by itself (docs/gc.md). Origins ask the index. */

import * as z from 'zod';
import { repositoryPatternCovers, repositoryPatternValid } from '../../core/oci/pattern.ts';
import type { BackendRule } from '../../platform/backends/config.ts';
import { blobRepository } from '../../platform/clients/registry/ref.ts';
import { duration } from '../../platform/config/units.ts';

const rateMax = 100_000;
const patternsMax = 1_000;
/** As many as anybody reads. */
const retentionRulesMax = 100;

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
      /** Manifests that go though nobody deletes them. The first rule that matches a repository holds; without one all stay. */
      retention: z
        .array(
          z.strictObject({
            repositories: z.union([pattern.transform((one) => [one]), z.array(pattern).min(1).max(patternsMax)]),
            /** Without a tag for so long. */
            untagged: duration(undefined, { max: '3650d', why: 'ten years' }),
          }),
        )
        .max(retentionRulesMax)
        .prefault([]),
    })
    .prefault({});

export type GcSettings = z.output<ReturnType<typeof gcShape>>;
export type RetentionRule = GcSettings['retention'][number];

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

/** What no start takes: a store that cannot do it, less than the grace, and rules that never hold. */
export function retentionProblems({ store, gc }: Pick<Beside, 'store'> & { readonly gc: GcSettings }) {
  const { retention, grace } = gc;
  if (store.kind === 'bucket' && retention.length > 0)
    return [
      {
        path: ['gc', 'retention'],
        message:
          'a store that is a bucket cannot delete a manifest in one step with looking whether a tag, an index or a signature needs it: take PostgreSQL, or SQLite',
      },
    ];
  return retention.flatMap(({ repositories, untagged }, i) => {
    const at = ['gc', 'retention', i];
    const before = retention.slice(0, i).flatMap((rule) => rule.repositories);
    const covered = repositories.every((later) => before.some((earlier) => repositoryPatternCovers(earlier, later)));
    const never = `never holds: rules before it have all of ${repositories.join(', ')}, and the first one holds`;
    const less = 'is less than `gc.grace`, for which what was pushed or asked for stays';
    return [
      ...(untagged < grace ? [{ path: [...at, 'untagged'], message: less }] : []),
      ...(covered ? [{ path: [...at, 'repositories'], message: never }] : []),
    ];
  });
}
