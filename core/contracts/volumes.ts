/** What an agent or an origin says of the file systems that its blobs lie on (`shoal origin status`). */

import { byteCount } from './fields.ts';
import { listOf, oneOf, optional, type Parser, record, text, whole } from './parse.ts';
import { route } from './route.ts';

/**
 * read-only: what lies there is served, nothing new is put there; lost: nothing can be had of it (it hangs, refuses, or
 * is not mounted), and what was there counts as gone until it is back.
 */
export type VolumeStatus = {
  /** 0: the data directory. */
  readonly no: number;
  readonly path: string;
  readonly state: 'well' | 'read-only' | 'lost';
  /** What is wrong, and what to do; empty where nothing is. */
  readonly why: string;
  /** Its part of new blobs, of the sum of all; 0: none are put there. */
  readonly weight: number;
  readonly blobs: number;
  readonly usedBytes: number;
  /** Of the file system, as of the last look. */
  readonly freeBytes?: number | undefined;
};
/** A blob's volume is one byte in tables. */
export const volumesMax = 255;
export const volumeWeightMax = 10_000;

const whyMax = 4096;
export const VOLUMES = {
  list: route('GET', '/v1/volumes', {
    reply: record({
      volumes: listOf(
        record({
          no: whole(volumesMax),
          path: text(whyMax),
          state: oneOf('well', 'read-only', 'lost'),
          why: text(whyMax),
          weight: whole(volumeWeightMax),
          blobs: byteCount,
          usedBytes: byteCount,
          freeBytes: optional(byteCount),
        }) satisfies Parser<VolumeStatus>,
        volumesMax,
      ),
    }),
  }),
} as const;
