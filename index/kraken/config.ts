/** What an index's configuration says of the tags that are put by Kraken's paths. */

import * as z from 'zod';
import { repositoryPatternValid } from '../../core/oci/pattern.ts';
import type { OriginsHeld } from './held.ts';

/** As many rules as anybody reads. */
const rulesMax = 1_000;
/** As of what a proxy pushes. */
const copiesMax = 8;

const pattern = z
  .string()
  .refine(repositoryPatternValid, 'is no pattern of a repository: a name, `*` within a part of it, `**` for any');

export const krakenShape = () => ({
  kraken: z
    .strictObject({
      /** What a tag is on: the first rule that matches a repository wins, and without one it is `docker`. */
      tagTypes: z
        .array(
          z.strictObject({
            repositories: z.union([pattern.transform((one) => [one]), z.array(pattern).min(1).max(rulesMax)]),
            /** docker: a manifest, and all that it refers to. default: any blob, and nothing else. */
            type: z.enum(['docker', 'default']),
          }),
        )
        .max(rulesMax)
        .prefault([]),
      /** So many origins (of as many as there are) must hold what a tag needs, as for a push (`push.required` of the proxy). */
      required: z.int().min(1).max(copiesMax).prefault(2),
    })
    .prefault({}),
});

export type TagTypeRule = { readonly repositories: readonly string[]; readonly type: 'docker' | 'default' };

export type KrakenSettings = {
  readonly tagTypes: readonly TagTypeRule[];
  /** Undefined: this index knows no origins. */
  readonly held: OriginsHeld | undefined;
  /** Has a tag sent where the rules say. Undefined: nothing goes to other clusters. */
  readonly again?: ((repo: string, tag: string) => Promise<void>) | undefined;
};
