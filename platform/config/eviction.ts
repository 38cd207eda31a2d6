/** What goes from a disk in the background. Spread into what a role says of its disk. */

import * as z from 'zod';
import { pinsMax } from '../../core/contracts/pins.ts';
import { parsePin } from '../../core/oci/pins.ts';
import type { Eviction, Mark } from '../store/room/tidying.ts';
import { diskMark, duration } from './units.ts';

const ageBounds = { min: '1m', max: '3650d' };

export const evictionShape = {
  /**
   * Of each file system that blobs lie on: once it is fuller than `high`, blobs go until it is at `low`. `90%`: so much of
   * it is used; `50GB`: so much of it is free.
   */
  watermarks: z
    .strictObject({ high: diskMark(), low: diskMark() })
    .superRefine(({ high, low }, ctx) => {
      const message = problemOf(high, low);
      if (message !== undefined) ctx.addIssue({ code: 'custom', message });
    })
    .optional(),
  /** What nobody used for so long goes. */
  tti: duration(undefined, ageBounds).optional(),
  /** What is here for so long goes. */
  ttl: duration(undefined, ageBounds).optional(),
  /** What stays: `sha256:…`, `repository:tag`, or a pattern of repositories, with all their tags. */
  pins: z
    .array(
      z
        .string()
        .refine(
          (text) => parsePin(text) !== undefined,
          'is no digest, no repository:tag and no pattern of repositories',
        ),
    )
    .max(pinsMax)
    .prefault([]),
} as const;

type Given = {
  readonly budget: number;
  readonly watermarks?: { readonly high: Mark; readonly low: Mark } | undefined;
  readonly tti?: number | undefined;
  readonly ttl?: number | undefined;
  /** As `hotMemory`. */
  readonly memory: number;
};

/** What a store is told of its room; `eviction` undefined: nothing of it is configured. */
export function roomOf({ budget, watermarks, tti, ttl, memory }: Given): {
  budgetBytes: number;
  eviction: Eviction | undefined;
  hotBytes: number;
} {
  const none = watermarks === undefined && tti === undefined && ttl === undefined;
  const eviction = none ? undefined : { watermarks, ttiMs: tti, ttlMs: ttl };
  return { budgetBytes: budget, eviction, hotBytes: memory };
}

function problemOf(high: Mark, low: Mark): string | undefined {
  if ('percent' in high && 'percent' in low)
    return low.percent < high.percent ? undefined : `low (${low.percent}%) must be less than high (${high.percent}%)`;
  if ('freeBytes' in high && 'freeBytes' in low)
    return low.freeBytes > high.freeBytes ? undefined : 'low must leave more bytes free than high';
  return 'high and low must both be percent that are used, or both bytes that are free';
}
