/** What became of a tag, a manifest or a blob that a backend has, and the index was to have. */

import type { Digest } from '../../core/digest.ts';

/** What it lacks there, though it can be used. */
type Flawed = { readonly flaw?: string | undefined };

/** absent: neither here nor there. `same`: what is here is as new. `broken`: it is there, and cannot be used. */
export type Brought = Flawed &
  (
    | { readonly kind: 'absent' | 'same' }
    /** `wrong`: as read.ts has it. */
    | { readonly kind: 'broken'; readonly why: string; readonly wrong?: boolean }
    /** What the store has now, or would have. */
    | { readonly kind: 'brought'; readonly how: 'added' | 'moved' | 'removed'; readonly digest: Digest | null }
  );
